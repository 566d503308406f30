"""The half that speaks DashScope, and knows nothing of LangChain."""
