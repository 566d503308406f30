"""Chat in the terminal: dimmed reasoning, streamed answers, and the tokens and cost of each turn.

Ctrl-C stops an answer; at the prompt, it ends the program. Questions may also be arguments, or
lines of the standard input.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from rich.console import Console

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from langchain_dashscope_deepseek.testing import DashScopeEmulator


class Price(NamedTuple):
    """The price of a million tokens."""

    input: float
    cached: float  # input that the service found in its cache
    output: float  # reasoning is output


# Set the prices of your region here; Model Studio's console shows them. With 0, no cost is shown.
CURRENCY = "CNY"
PRICES = {
    "deepseek-v4.1-flash": Price(input=0, cached=0, output=0),
    "deepseek-v4-pro": Price(input=0, cached=0, output=0),
}

console = Console(highlight=False)


def questions(given: list[str]) -> Iterator[str]:
    """Yield the arguments, the lines of the standard input, or the questions typed at a prompt."""
    if given or not sys.stdin.isatty():
        for line in given or sys.stdin:
            if question := line.strip():
                console.print("You:", style="bold green", end=" ")
                console.out(question)
                yield question
        return
    while True:
        try:
            question = console.input("[bold green]You:[/] ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if question:
            yield question


def show(stream: Iterator[AIMessageChunk]) -> AIMessageChunk:
    """Print an answer while it streams, and return the whole message."""
    whole: AIMessageChunk | None = None
    is_thinking = False
    for chunk in stream:
        if reasoning := chunk.additional_kwargs.get("reasoning_content"):
            is_thinking = True
            console.out(reasoning, style="dim", end="")
        elif chunk.text:
            console.out("\n\n" * is_thinking + chunk.text, end="")
            is_thinking = False
        whole = chunk if whole is None else whole + chunk
    console.out("")
    assert whole is not None  # noqa: S101 - a stream ends with at least its last chunk
    return whole


def bill(model: str, usage: UsageMetadata) -> str:
    """Describe the tokens of a turn, and its cost if the prices are set."""
    cached = usage.get("input_token_details", {}).get("cache_read", 0)
    tokens = f"{usage['input_tokens']} tokens in, {cached} of them cached"
    tokens += f", {usage['output_tokens']} out"
    price = PRICES.get(model)
    if price is None or not any(price):
        return f"{tokens}; cost unknown: look up the prices of {model} and set PRICES"
    cost = (
        (usage["input_tokens"] - cached) * price.input
        + cached * price.cached
        + usage["output_tokens"] * price.output
    ) / 1_000_000
    return f"{tokens}; {cost:.6f} {CURRENCY}"


def chat(model: ChatDashScopeDeepSeek, asked: Iterator[str]) -> int:
    """Answer the questions in order, and return how many failed."""
    history: list[BaseMessage] = []
    failures = 0
    for question in asked:
        turn = [*history, HumanMessage(question)]
        try:
            answer = show(model.stream(turn))
        except KeyboardInterrupt:  # closes the connection to the service
            console.print("\nStopped. This turn is not part of the history.\n")
        except DashScopeError as error:
            failures += 1
            console.print(f"\n{type(error).__name__}: {error}\n", style="red", markup=False)
        else:
            history = [*turn, answer]
            if answer.usage_metadata:
                console.print(bill(model.model, answer.usage_metadata), style="dim italic")
            console.out("")
    return failures


def main() -> int:
    """Chat until the questions end."""
    parser = argparse.ArgumentParser(prog="chat", description=__doc__)
    parser.add_argument("question", nargs="*")
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    with (
        service(script) as settings,
        ChatDashScopeDeepSeek(model=arguments.model, **settings) as model,
    ):
        return min(1, chat(model, questions(arguments.question)))


def script(emulator: DashScopeEmulator) -> None:
    """Answer the first question slowly, so that there is time to stop it."""
    emulator.reply(
        "This is the emulator. With a key, DeepSeek answers here, as slowly as it speaks.",
        reasoning="The thinking is dimmed. It comes first, and is billed as output.",
        piece_delay=0.03,
    )


if __name__ == "__main__":
    sys.exit(main())
