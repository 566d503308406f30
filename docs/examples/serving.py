"""Serve an agent to browsers and other clients, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError

Item = TypeVar("Item")


async def in_own_task(stream: AsyncIterator[Item]) -> AsyncGenerator[Item]:
    """Read a stream in a task that is cancelled when the reader leaves."""
    items: asyncio.Queue[Item | None] = asyncio.Queue()

    async def read() -> None:
        async for item in stream:
            items.put_nowait(item)

    task = asyncio.create_task(read())
    task.add_done_callback(lambda _: items.put_nowait(None))
    try:
        while (item := await items.get()) is not None:
            yield item
        await task  # raises the error of the agent, if there was one
    finally:
        task.cancel()


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash", max_seconds=300)
agent: Any = create_agent(model, [get_weather], checkpointer=InMemorySaver())


class Question(BaseModel):
    """A question, and the thread that it belongs to."""

    text: str
    thread_id: str


def event(name: str, data: Any) -> str:
    """Write a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def answer(question: Question) -> AsyncIterator[str]:
    """Answer with events: reasoning, text and call; then done or error."""
    thread: RunnableConfig = {"configurable": {"thread_id": question.thread_id}}
    messages = [{"role": "user", "content": question.text}]
    asked = {"messages": messages}
    stream = agent.astream(asked, thread, stream_mode="messages")
    try:
        async with aclosing(in_own_task(stream)) as parts:
            async for message, metadata in parts:
                if metadata["langgraph_node"] != "model":
                    continue  # the result of a tool
                more = message.additional_kwargs
                if "reasoning_content" in more:
                    yield event("reasoning", more["reasoning_content"])
                if message.text:
                    yield event("text", message.text)
                for call in message.tool_call_chunks:
                    if call["name"]:
                        yield event("call", call["name"])
    except DashScopeError as error:
        yield event("error", {"message": str(error), "id": error.request_id})
    else:
        yield event("done", {})


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the model's connections when the server stops."""
    async with model:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    """Stream an answer."""
    return StreamingResponse(
        answer(question),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )
