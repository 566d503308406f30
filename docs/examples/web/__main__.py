"""A chat page: its server streams reasoning and answer to the browser as server-sent events.

With DASHSCOPE_API_KEY set this talks to the service. Without, the bundled emulator gives the same
answer to everything, slowly, so that there is something to stop.
"""

import argparse
import base64
import hashlib
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from docs.examples.web.refusals import Refusals
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from langchain_dashscope_deepseek.testing import DashScopeEmulator

THOUGHT = "Air is clear, so why is it blue? Sunlight is a mix of colours, and air scatters some."
ANSWER = """Because air scatters **blue light** more than red light:

1. Sunlight holds all colours.
2. Air scatters short waves most, which is called *Rayleigh scattering*:
   - violet and blue a lot.

```python
red, blue = 700, 450  # wavelengths in nanometres
print((red / blue) ** 4)  # 5.86: blue is scattered almost six times as much
```

*The emulator says this, whatever you ask.*"""


class Turn(BaseModel):
    """What one side said."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


class Conversation(BaseModel):
    """What was said so far, the new question last. The server keeps nothing of it."""

    messages: list[Turn] = Field(min_length=1)


def write_event(name: str, data: Any) -> str:
    """Write a server-sent event; JSON has no line breaks that could end it early."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def answer(model: ChatDashScopeDeepSeek, conversation: Conversation) -> AsyncIterator[str]:
    """Stream an answer as events: reasoning, text and usage, then done or error.

    When the browser goes away, Starlette cancels this generator where it waits. `aclosing` then
    closes the stream, and that the connection to the service: no tokens are made for nobody.
    """
    question = [turn.model_dump() for turn in conversation.messages]
    stream = cast("AsyncGenerator[AIMessageChunk]", model.astream(question))
    facts: dict[str, Any] = {}
    try:
        async with aclosing(stream):
            async for chunk in stream:
                facts |= chunk.response_metadata
                if reasoning := chunk.additional_kwargs.get("reasoning_content"):
                    yield write_event("reasoning", reasoning)
                if chunk.text:
                    yield write_event("text", chunk.text)
                if chunk.usage_metadata:
                    yield write_event("usage", chunk.usage_metadata)
    except DashScopeError as error:
        names = ("code", "status_code", "request_id", "is_retryable")
        said = {name: getattr(error, name) for name in names}
        yield write_event("error", {"message": str(error), **said})
    else:
        said = {name: facts.get(name) for name in ("model_name", "request_id", "finish_reason")}
        yield write_event("done", said)


def make_app(model: ChatDashScopeDeepSeek) -> FastAPI:
    """Make the app: the page at /, and answers of the model at /chat."""
    page = Path(__file__).with_name("index.html").read_text(encoding="utf-8")
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Only the page's own script runs, whatever a model says.
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    )

    @asynccontextmanager
    async def closes_model(_: FastAPI) -> AsyncIterator[None]:
        async with model:
            yield

    app = FastAPI(lifespan=closes_model)
    # Without it, a site that points its name at this machine could ask at your cost.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.add_middleware(Refusals)

    @app.get("/")
    def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": policy})

    @app.post("/chat")
    async def chat(conversation: Conversation) -> StreamingResponse:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # proxies must not wait
        events = answer(model, conversation)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    return app


@contextmanager
def find_service() -> Iterator[dict[str, Any]]:
    """Give the settings of the service, or those of an emulator that runs meanwhile."""
    if os.environ.get("DASHSCOPE_API_KEY"):
        yield {}
        return
    print("DASHSCOPE_API_KEY is not set, so the bundled emulator answers.")
    with DashScopeEmulator() as emulator:
        emulator.reply(ANSWER, reasoning=THOUGHT, piece_delay=0.05, times=1000)
        yield {"api_key": emulator.api_key, "base_url": emulator.base_url}


def main() -> None:
    """Serve the page on this machine until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)  # one line a call, "dropped" where the reader left
    with find_service() as settings:
        model = ChatDashScopeDeepSeek(model=arguments.model, **settings)
        uvicorn.run(make_app(model), port=arguments.port, timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
