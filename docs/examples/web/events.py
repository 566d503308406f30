"""Server-sent events, and the response that streams them."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from langchain_dashscope_deepseek import DashScopeError


def write_event(name: str, data: Any) -> str:
    """Write a server-sent event; JSON contains no line breaks that could end it early."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def write_error(error: DashScopeError) -> str:
    """Write an error with the facts that the page shows."""
    names = ("code", "status_code", "request_id", "is_retryable")
    return write_event("error", {"message": str(error), **{n: getattr(error, n) for n in names}})


def write_done(metadata: dict[str, Any]) -> str:
    """Write the last event, with facts from the metadata of the response."""
    names = ("model_name", "request_id", "finish_reason")
    return write_event("done", {name: metadata.get(name) for name in names})


def stream_events(events: AsyncIterator[str]) -> StreamingResponse:
    """Stream events, and tell caches and proxies not to keep them."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
