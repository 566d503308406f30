"""The DashScope side: requests, answers and connections. It does not import LangChain."""
