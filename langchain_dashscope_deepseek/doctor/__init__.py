"""`python -m langchain_dashscope_deepseek.doctor` compares the service with the capability table.

It sends tiny requests, without the chat model's checks and changes, and prints each result beside
the table's entry. No other module imports this package.
"""
