"""Chooses which tools the emulator calls, and the arguments, by matching words."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

from langchain_dashscope_deepseek.testing._checks import ValidRequest
from langchain_dashscope_deepseek.testing._render import ToolCall
from langchain_dashscope_deepseek.testing._schemas import Filler, find_things

_ASKED = re.compile(
    r"\b(?:tools?|functions?|use the|call the|extract)\b|工具|函数|调用|提取", re.IGNORECASE
)
_MUST = re.compile(r"\b(?:must|always)\b|必须|务必", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_WORD = re.compile(r"[a-z]+|[\u4e00-\u9fff]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOISE_WORDS = (
    "a about an and are by can do for from get given give hello how i in input is it me my no of "
    "on or output please respond return schema some tell text that the this to tool function use "
    "user using value what which who with you your"
)
_NOISE = frozenset(_NOISE_WORDS.split())
_CHINESE_NOISE = frozenset("的了是在我你请吗呢么个这那和与")
_BY_NAME, _BY_WORD = 100, 10
_THRESHOLD, _BY_CHINESE_PAIR = 2, 2  # a Chinese pair or two Latin words of the description


def choose_calls(request: ValidRequest, question: str, system: str) -> tuple[ToolCall, ...]:
    """Choose the tools that the user's question asks for, or that `tool_choice` forces."""
    tools = [tool["function"] for tool in request.parameters.get("tools") or ()]
    choice = request.parameters.get("tool_choice", "auto")
    if not tools or choice == "none":
        return ()
    if isinstance(choice, dict):
        chosen = next(tool for tool in tools if tool["name"] == choice["function"]["name"])
        return (_call(chosen, question),)
    scores = {tool["name"]: _score(tool, question, system) for tool in tools}
    if choice != "required" and (request.results or not _wants(scores, question)):
        return ()
    called = _called_since_the_question(request)
    fresh = [tool for tool in tools if tool["name"] not in called] or tools
    names = dict.fromkeys(_NAME.findall(question))
    named = [tool for name in names for tool in fresh if tool["name"] == name]
    best = named[0] if named else max(fresh, key=lambda tool: scores[tool["name"]])
    if request.parameters.get("parallel_tool_calls"):
        wanted = named or [tool for tool in tools if scores[tool["name"]] >= _BY_WORD]
        if len(wanted) > 1:
            return tuple(_call(tool, question) for tool in wanted)
        things = find_things(question)
        if len(things) > 1:
            return tuple(_call(best, question, [thing]) for thing in things)
    return (_call(best, question),)


def _called_since_the_question(request: ValidRequest) -> set[str]:
    """Return the tools called in this turn; a forced call on the next step prefers another."""
    return {
        made["function"]["name"]
        for message in request.turn
        for made in message.get("tool_calls") or ()
    }


def _wants(scores: dict[str, int], question: str) -> bool:
    return max(scores.values()) >= _THRESHOLD or bool(_ASKED.search(question))


def _score(tool: dict[str, Any], question: str, system: str) -> int:
    """Score how clearly a question asks for a tool."""
    name = tool["name"]
    if name in _NAME.findall(question) or (name in system and _MUST.search(system)):
        return _BY_NAME
    words = _words(question)
    named = len(_words(_CAMEL.sub(" ", name).replace("_", " ").replace("-", " ")) & words)
    described = _words(tool.get("description") or "") & words
    return named * _BY_WORD + sum(1 if word.isascii() else _BY_CHINESE_PAIR for word in described)


def _words(text: str) -> set[str]:
    words = set()
    for word in _WORD.findall(text.lower()):
        if word.isascii():
            words.add(word)
            continue
        pairs = {word[i : i + 2] for i in range(len(word) - 1)}
        words |= {pair for pair in pairs if not _CHINESE_NOISE & set(pair)}
    return words - _NOISE


def _call(tool: dict[str, Any], question: str, things: list[str] | None = None) -> ToolCall:
    arguments = Filler(question, things).fill({"type": "object", **tool.get("parameters", {})})
    text = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(tool["name"], text, f"call_{uuid4().hex[:22]}")
