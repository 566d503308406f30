"""The I/O of `_dashscope`. Only modules of this folder import httpcore."""
