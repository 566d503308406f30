"""The half that speaks LangChain: its messages, chunks, tools and settings."""
