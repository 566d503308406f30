"""Data: the model profiles, which LangChain reads, and Chinese words, to estimate tokens."""
