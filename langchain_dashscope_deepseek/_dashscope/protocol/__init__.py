"""DashScope's protocol: requests, and the reading of answers. Pure: no I/O, no LangChain."""
