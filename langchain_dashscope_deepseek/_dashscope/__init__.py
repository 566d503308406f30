"""The DashScope side: requests, answers and connections. Of LangChain only the exceptions."""
