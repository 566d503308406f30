"""Which messages belong together: a turn is all between two questions of the user."""

from __future__ import annotations

from itertools import takewhile

from langchain_dashscope_deepseek.testing._render import Json


def split_turns(messages: list[Json]) -> list[list[Json]]:
    """Split a conversation where the user asks; what comes before is a turn, too.

    A user message with images right behind a tool message is no question: clients put the images
    that a tool returned there.
    """
    turns: list[list[Json]] = [[]]
    for message in messages:
        is_of_tool = bool(message["images"] and turns[-1]) and turns[-1][-1]["role"] == "tool"
        if message["role"] == "user" and not is_of_tool:
            turns.append([])
        turns[-1].append(message)
    return turns


def question_of(turn: list[Json]) -> str:
    """Return what the user asked."""
    return str(turn[0]["content"]) if turn and turn[0]["role"] == "user" else ""


def results_of(turn: list[Json]) -> list[str]:
    """Return what the tools said to which the answer is due; nothing if none is."""
    has_images = len(turn) > 1 and turn[-1]["role"] == "user"
    said = turn[:-1] if has_images else turn
    results = list(takewhile(lambda message: message["role"] == "tool", reversed(said)))
    return [message["content"] for message in reversed(results)]
