"""Data: profiles, named as in LangChain's own packages, and runs of Chinese characters."""
