"""Ask DeepSeek a question and watch it think: reasoning first, then the answer, then the bill.

With DASHSCOPE_API_KEY set this talks to the service. Without, it starts the bundled emulator.
"""

import argparse
import os
import sys
from contextlib import ExitStack

from langchain_core.messages import AIMessageChunk

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from langchain_dashscope_deepseek.testing import DashScopeEmulator


def ask(model: ChatDashScopeDeepSeek, question: str) -> AIMessageChunk:
    """Print the answer as it comes, and return it whole."""
    whole: AIMessageChunk | None = None
    speaker = ""
    for chunk in model.stream(question):
        reasoning = chunk.additional_kwargs.get("reasoning_content", "")
        now = "Reasoning" if reasoning else "Answer" if chunk.text else speaker
        if now != speaker:
            speaker = now
            print(f"\n\n--- {speaker} ---" if whole else f"--- {speaker} ---")
        print(reasoning or chunk.text, end="", flush=True)
        whole = chunk if whole is None else whole + chunk
    assert whole is not None  # noqa: S101 - a stream ends with at least its last chunk
    return whole


def print_bill(message: AIMessageChunk) -> None:
    """Print what the answer cost, and the id that a support ticket needs."""
    usage = message.usage_metadata
    assert usage is not None  # noqa: S101 - the service sends it with every answer
    thought = "reasoning_content" in message.additional_kwargs
    uncounted = "an uncounted part" if thought else 0  # deepseek-r1 sends the totals only
    reasoning = usage.get("output_token_details", {}).get("reasoning", uncounted)
    print(
        f"\n\nTokens: {usage['input_tokens']} input, {usage['output_tokens']} output, "
        f"{reasoning} of it reasoning. "
        f"Request: {message.response_metadata.get('request_id')}"
    )


def main() -> int:
    """Ask the question of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", nargs="?", default="Why is the sky blue?")
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    with ExitStack() as stack:
        if os.environ.get("DASHSCOPE_API_KEY"):
            model = ChatDashScopeDeepSeek(model=arguments.model)
        else:
            print("DASHSCOPE_API_KEY is not set, so the bundled emulator answers.\n")
            emulator = stack.enter_context(DashScopeEmulator())
            model = ChatDashScopeDeepSeek(
                model=arguments.model, api_key=emulator.api_key, base_url=emulator.base_url
            )
        try:
            print_bill(ask(model, arguments.question))
        except DashScopeError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
        finally:
            model.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
