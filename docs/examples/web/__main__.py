"""A chat and an agent on a web page, streamed to the browser as server-sent events.

With DASHSCOPE_API_KEY set, this uses the service, else the bundled emulator.
"""

import argparse
import base64
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from docs.examples.web.agent import Decisions, Question, in_own_task, make_agent, run_agent
from docs.examples.web.emulated import find_service
from docs.examples.web.events import stream_events, write_done, write_error, write_event
from docs.examples.web.refusals import Refusals
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError


class Turn(BaseModel):
    """A message of the user or of the model."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


class Conversation(BaseModel):
    """A conversation that ends with a new question. The server stores none."""

    messages: list[Turn] = Field(min_length=1)


async def answer(model: ChatDashScopeDeepSeek, conversation: Conversation) -> AsyncIterator[str]:
    """Stream an answer as events: reasoning, text and usage, then done or error.

    When the browser disconnects, Starlette cancels this generator. `aclosing` then closes the
    stream and its connection to the service, so that the service can stop generating.
    """
    question = [turn.model_dump() for turn in conversation.messages]
    stream = cast("AsyncGenerator[AIMessageChunk]", model.astream(question))
    metadata: dict[str, Any] = {}
    try:
        async with aclosing(stream):
            async for chunk in stream:
                metadata |= chunk.response_metadata
                if reasoning := chunk.additional_kwargs.get("reasoning_content"):
                    yield write_event("reasoning", reasoning)
                if chunk.text:
                    yield write_event("text", chunk.text)
                if chunk.usage_metadata:
                    yield write_event("usage", chunk.usage_metadata)
    except DashScopeError as error:
        yield write_error(error)
    else:
        yield write_done(metadata)


def read_page() -> tuple[str, str]:
    """Read the page, and make the policy that lets browsers run no script but the page's own."""
    page = Path(__file__).with_name("index.html").read_text(encoding="utf-8")
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    )
    return page, policy


def make_app(model: ChatDashScopeDeepSeek, agent_model: ChatDashScopeDeepSeek) -> FastAPI:
    """Make the app: the chat at / and the agent at /agent, on the same page."""
    page, policy = read_page()
    agent = make_agent(agent_model)

    @asynccontextmanager
    async def close_models(_: FastAPI) -> AsyncIterator[None]:
        async with model, agent_model:
            yield

    app = FastAPI(lifespan=close_models)
    # Without this, a site that resolves its name to this machine could ask at your expense.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.add_middleware(Refusals)

    @app.get("/")
    @app.get("/agent")
    def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": policy})

    @app.post("/chat")
    async def chat(conversation: Conversation) -> StreamingResponse:
        return stream_events(answer(model, conversation))

    @app.post("/agent")
    async def ask_agent(question: Question) -> StreamingResponse:
        return stream_events(in_own_task(run_agent(agent, question)))

    @app.post("/agent/decisions")
    async def decide(decisions: Decisions) -> StreamingResponse:
        return stream_events(in_own_task(run_agent(agent, decisions)))

    return app


def main() -> None:
    """Serve the page on this machine until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)  # one line a call, "abandoned" after a disconnect
    with find_service() as (settings, agent_settings):
        app = make_app(
            ChatDashScopeDeepSeek(model=arguments.model, **settings),
            ChatDashScopeDeepSeek(model=arguments.model, **agent_settings),
        )
        uvicorn.run(app, port=arguments.port, timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
