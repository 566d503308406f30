"""An agent with two tools that streams its steps, and stores its threads in SQLite.

Run it twice with the same --thread: the second run continues the conversation.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

FIRST = "Can I go to Hangzhou by train today, and do I need an umbrella?"
LATER = "Which train was that?"


@tool
def get_weather(city: str) -> str:
    """Get today's weather of a city."""
    return f"{city}: light rain, 18 degrees."


@tool
def find_trains(origin: str, destination: str) -> str:
    """Find today's trains from one city to another."""
    return f"{origin} to {destination}: G7349 at 14:05, G7511 at 15:30."


def show(steps: Iterator[tuple[str, Any]]) -> None:
    """Print tokens while they stream, and calls and results when they are complete."""
    speaker = ""
    for mode, step in steps:
        if mode == "messages":  # (a chunk of a message, its metadata)
            chunk = step[0]
            if not isinstance(chunk, AIMessageChunk):
                continue
            reasoning = chunk.additional_kwargs.get("reasoning_content", "")
            now = "Thinks" if reasoning else "Says" if chunk.text else speaker
            if now != speaker:
                speaker = now
                print(f"\n[{speaker}] ", end="")
            print(reasoning or chunk.text, end="", flush=True)
        else:  # {node: its update of the state}
            for change in step.values():
                for message in (change or {}).get("messages", []):
                    speaker = show_step(message) or speaker
    print()


def show_step(message: object) -> str:
    """Print the calls or the result in a message, and return their label."""
    if isinstance(message, AIMessage) and message.tool_calls:
        for call in message.tool_calls:
            print(f"\n[Calls] {call['name']}({call['args']})", end="")
        return "Calls"
    if isinstance(message, ToolMessage):
        print(f"\n[Result] {message.text}", end="")
        return "Result"
    return ""


def main() -> None:
    """Ask the agent, on a new thread or on one of an earlier run."""
    parser = argparse.ArgumentParser(prog="agent", description=__doc__)
    parser.add_argument("question", nargs="?")
    parser.add_argument("--thread", default="trip")
    parser.add_argument("--database", type=Path, default=Path("build/agent.sqlite"))
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()
    arguments.database.parent.mkdir(parents=True, exist_ok=True)
    config: RunnableConfig = {"configurable": {"thread_id": arguments.thread}}

    with SqliteSaver.from_conn_string(str(arguments.database)) as checkpointer:
        goes_on = checkpointer.get(config) is not None
        question = arguments.question or (LATER if goes_on else FIRST)
        with (
            service(None if arguments.question else partial(script, goes_on=goes_on)) as settings,
            ChatDashScopeDeepSeek(model=arguments.model, **settings) as model,
        ):
            agent = create_agent(
                model,
                tools=[get_weather, find_trains],
                system_prompt="You help travellers, who start in Shanghai.",
                checkpointer=checkpointer,
            )
            known = len(agent.get_state(config).values.get("messages", []))
            print(f"Thread {arguments.thread!r}: {known} messages so far.")
            print(f"[You] {question}", end="")
            parts: Iterator[Any] = agent.stream(
                {"messages": [{"role": "user", "content": question}]},
                config,
                stream_mode=["messages", "updates"],
            )
            show(parts)


def script(emulator: DashScopeEmulator, *, goes_on: bool) -> None:
    """Script two calls and an answer, or on a known thread an answer alone."""
    if goes_on:
        emulator.reply("G7349, at 14:05.", reasoning="I found it earlier in this thread.")
        return
    emulator.reply(
        reasoning="I need the trains, and the weather over there.",
        tool_calls=[
            {
                "name": "find_trains",
                "arguments": {"origin": "Shanghai", "destination": "Hangzhou"},
            }
        ],
    )
    emulator.reply(
        reasoning="There are two. Now the weather.",
        tool_calls=[{"name": "get_weather", "arguments": {"city": "Hangzhou"}}],
    )
    emulator.reply("Yes: G7349 leaves at 14:05. Take an umbrella, for it rains a little.")


if __name__ == "__main__":
    main()
