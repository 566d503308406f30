"""The I/O of `_dashscope`, and the only place that knows httpx and httpcore."""
