"""The I/O of `_dashscope`. No other module imports httpcore."""
