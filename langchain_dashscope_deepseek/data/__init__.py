"""Data that LangChain reads: the model profiles."""
