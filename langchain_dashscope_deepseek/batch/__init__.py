"""`python -m langchain_dashscope_deepseek.batch`: ask each row of a table, and keep every answer.

Nothing else imports this.
"""
