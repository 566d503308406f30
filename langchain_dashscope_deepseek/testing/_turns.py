"""Splits conversations into turns: a user's question and all messages up to the next one."""

from __future__ import annotations

from itertools import takewhile

from langchain_dashscope_deepseek.testing._render import Json


def split_turns(messages: list[Json]) -> list[list[Json]]:
    """Split a conversation at the user's questions; messages before the first are a turn as well.

    A user message with images right after a tool message is not a question: clients send the images
    of tool results there.
    """
    turns: list[list[Json]] = [[]]
    for message in messages:
        is_of_tool = bool(message["images"] and turns[-1]) and turns[-1][-1]["role"] == "tool"
        if message["role"] == "user" and not is_of_tool:
            turns.append([])
        turns[-1].append(message)
    return turns


def question_of(turn: list[Json]) -> str:
    """Return the user's question."""
    return str(turn[0]["content"]) if turn and turn[0]["role"] == "user" else ""


def results_of(turn: list[Json]) -> list[str]:
    """Return the tool results at the end of a turn; empty if it does not end with any."""
    has_images = len(turn) > 1 and turn[-1]["role"] == "user"
    said = turn[:-1] if has_images else turn
    results = list(takewhile(lambda message: message["role"] == "tool", reversed(said)))
    return [message["content"] for message in reversed(results)]
