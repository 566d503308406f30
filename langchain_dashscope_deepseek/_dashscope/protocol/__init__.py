"""DashScope's protocol: what is sent and how an answer is read. Pure: no I/O, no LangChain."""
