"""The DashScope side: requests, answers and connections. Does not import LangChain."""
