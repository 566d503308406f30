"""The I/O of `_dashscope`, and only this package uses httpcore."""
