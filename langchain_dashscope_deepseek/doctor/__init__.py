"""`python -m langchain_dashscope_deepseek.doctor`: does the service do what the table says?

Sends tiny requests as they are, without the checks and changes of the chat model, and prints each
answer beside the capability table. Nothing else imports this.
"""
