"""An agent that looks up orders by itself, and asks for approval before it refunds one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, Literal
from uuid import UUID
from weakref import WeakValueDictionary

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel, Field

from docs.examples.web.events import write_done, write_error, write_event
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError


@tool
def find_order(number: int) -> str:
    """Find an order by its number."""
    return f"Order {number}: one kettle, 39.00 EUR. Delivered on Monday. Reported broken."


@tool
def refund_order(number: int, amount: float, reason: str) -> str:
    """Refund an order to the customer. The amount is in EUR."""
    return f"Refunded {amount:.2f} EUR for order {number}: {reason}"


def make_agent(model: ChatDashScopeDeepSeek) -> Any:
    """Make the agent. It keeps its threads in memory, until the server stops."""
    approval = HumanInTheLoopMiddleware(
        interrupt_on={"refund_order": {"allowed_decisions": ["approve", "reject"]}}
    )
    return create_agent(
        model,
        [find_order, refund_order],
        system_prompt="You help the staff of a shop with the orders of its customers.",
        middleware=[approval],
        checkpointer=InMemorySaver(),
    )


class Question(BaseModel):
    """A question to the agent. The page makes both ids at random."""

    thread_id: UUID
    id: UUID
    text: str = Field(min_length=1)


class Decisions(BaseModel):
    """A decision for each tool call of an approval request."""

    thread_id: UUID
    request_id: str
    decisions: list[Literal["approve", "reject"]] = Field(min_length=1)


LOCKS: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


async def run_agent(agent: Any, asked: Question | Decisions) -> AsyncIterator[str]:
    """Stream what the agent does as events, until it has answered or needs approval."""
    config: RunnableConfig = {"configurable": {"thread_id": str(asked.thread_id)}}
    metadata: dict[str, Any] = {}
    is_waiting = False
    async with LOCKS.setdefault(asked.thread_id, asyncio.Lock()):  # one run of a thread at a time
        if isinstance(asked, Question):
            # A question that is sent again replaces itself, by its id, and the steps after it stay.
            message = {"role": "user", "content": asked.text, "id": str(asked.id)}
            given: Any = {"messages": [message]}
        elif await is_pending(agent, config, asked):
            decisions = [{"type": decision} for decision in asked.decisions]
            given = Command(resume={asked.request_id: {"decisions": decisions}})
        else:
            gone = {"code": "NotPending", "message": "This request is no longer pending."}
            yield write_event("error", gone | {"is_retryable": True})
            return
        try:
            async for mode, part in agent.astream(
                given, config, stream_mode=["messages", "updates"]
            ):
                if mode == "updates":
                    is_waiting |= "__interrupt__" in part
                    events = write_step(part)
                elif part[1]["langgraph_node"] == "model":
                    metadata |= part[0].response_metadata
                    events = write_tokens(part[0])
                else:
                    continue  # a message of a tool, which comes with its step as well
                for event in events:
                    yield event
        except DashScopeError as error:
            yield write_error(error)
        else:
            if not is_waiting:
                yield write_done(metadata)


async def is_pending(agent: Any, config: RunnableConfig, asked: Decisions) -> bool:
    """Tell whether the thread waits for these decisions, so that none is applied twice."""
    state = await agent.aget_state(config)
    pending = {each.id: len(each.value["action_requests"]) for each in state.interrupts}
    return pending.get(asked.request_id) == len(asked.decisions)


def write_tokens(message: BaseMessage) -> Iterator[str]:
    """Write what a chunk of the model's answer contains."""
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        yield write_event("reasoning", reasoning)
    if message.text:
        yield write_event("text", message.text)
    if usage := getattr(message, "usage_metadata", None):
        yield write_event("usage", usage)


def write_step(step: dict[str, Any]) -> Iterator[str]:
    """Write the calls, results and approval requests of a finished step."""
    for node, change in step.items():
        if node == "__interrupt__":
            for request in change:
                calls = request.value["action_requests"]
                shown = [{"name": call["name"], "args": call["args"]} for call in calls]
                yield write_event("approval", {"id": request.id, "calls": shown})
            continue
        for message in (change or {}).get("messages", []):
            if isinstance(message, ToolMessage):
                result = {"id": message.tool_call_id, "text": message.text}
                yield write_event("result", result | {"is_error": message.status == "error"})
            elif isinstance(message, AIMessage) and node == "model":
                for call in message.tool_calls:
                    yield write_event("call", {key: call[key] for key in ("id", "name", "args")})


async def in_own_task(events: AsyncIterator[str]) -> AsyncGenerator[str]:
    """Read events in a task that is cancelled when the browser disconnects.

    Starlette cancels through AnyIO, and LangGraph does not pass that on. See docs/serving.md.
    """
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    async def read() -> None:
        async for event in events:
            queue.put_nowait(event)

    task = asyncio.create_task(read())
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task  # raises the error of the agent, if there was one
    finally:
        task.cancel()
