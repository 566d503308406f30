"""Generates answers to requests without a scripted one: text, tool calls or JSON.

The text states that it is emulated. `stop` and the token limits are applied.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from langchain_dashscope_deepseek.testing._checks import ValidRequest
from langchain_dashscope_deepseek.testing._render import Answer, count_tokens, cut_to_tokens
from langchain_dashscope_deepseek.testing._schemas import (
    Filler,
    find_quoted,
    find_schema,
    without_objects,
)
from langchain_dashscope_deepseek.testing._tools import choose_calls

_QUOTE_LENGTH = 120
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_NUMERIC_KEYS = frozenset({"age", "count", "number", "price", "quantity", "score", "year"})


def answer_request(request: ValidRequest) -> Answer:
    """Answer a request that passed the checks."""
    question = request.question
    chinese = bool(_CHINESE.search(question)) and not _KANA.search(question)
    system = "\n".join(m["content"] for m in request.messages if m["role"] == "system")
    calls = () if request.is_partial else choose_calls(request, question, system)
    answer = Answer(
        text="" if calls else _text(request, question, chinese=chinese),
        reasoning=_reasoning(question, chinese=chinese) if request.thinking else "",
        tool_calls=calls,
        # Recorded: a call of a named function ends with "stop".
        finish_reason="tool_calls" if calls and not _is_named(request) else "stop",
        search_results=_search_results() if request.parameters.get("enable_search") else None,
    )
    return _limit(request, _stop(request, answer))


def _is_named(request: ValidRequest) -> bool:
    return isinstance(request.parameters.get("tool_choice"), dict)


def _reasoning(question: str, *, chinese: bool) -> str:
    if chinese:
        return f"这是模拟器写的思考过程，没有模型在思考。用户说：“{_quote(question)}”，我来回答。"
    return (
        "This reasoning is emulated: no model is thinking. The user says: "
        f"“{_quote(question)}”, so I should answer that."
    )


def _text(request: ValidRequest, question: str, *, chinese: bool) -> str:
    if request.is_partial:
        return f" … continued by the emulator of {request.model}, not by the model itself."
    if (request.parameters.get("response_format") or {}).get("type") in (
        "json_object",
        "json_schema",
    ):
        return _json(request, question)
    if request.results:
        return _report(request, chinese=chinese)
    if chinese:
        return (
            f"我是 {request.model} 的模拟器，不是模型本身。你说的是：“{_quote(question)}”。"
            f"{_seen(request, chinese=True)}这段文字由模拟器生成，只用于测试。"
        )
    return (
        f"I am the emulator of {request.model}, not the model itself. "
        f"You said: “{_quote(question)}”. "
        f"{_seen(request, chinese=False)}This text was generated for tests."
    )


def _report(request: ValidRequest, *, chinese: bool) -> str:
    """Quote the results of the tools that were called last."""
    results, seen = list(map(_quote, request.results)), _seen(request, chinese=chinese)
    if chinese:
        said = "；".join(results).rstrip("。")
        return f"我是 {request.model} 的模拟器。{seen}工具的结果是：{said}。"
    said = "; ".join(results).rstrip(".")
    return f"I am the emulator of {request.model}. {seen}The tools returned: {said}."


def _seen(request: ValidRequest, *, chinese: bool) -> str:
    """State the number of images in the conversation; empty if there are none."""
    if not request.images:
        return ""
    if chinese:
        return f"我收到了 {request.images} 张图片。"
    return f"I was sent {request.images} image{'' if request.images == 1 else 's'}. "


def _quote(text: str) -> str:
    return text if len(text) <= _QUOTE_LENGTH else text[:_QUOTE_LENGTH] + "…"


def _json(request: ValidRequest, question: str) -> str:
    """Answer with the JSON object that the request or its messages describe."""
    contents = [message["content"] for message in reversed(request.messages)]
    given = request.parameters["response_format"].get("json_schema", {}).get("schema")
    if schema := given or next(filter(None, map(find_schema, contents)), None):
        value = Filler(without_objects(question)).fill(schema)
    elif keys := next(filter(None, map(find_quoted, contents)), None):
        value = {key: 1 if key in _NUMERIC_KEYS else f"emulated {key}" for key in keys}
    else:
        value = {
            "answer": f"I am the emulator of {request.model}. {_seen(request, chinese=False)}"
            f"You said: {_quote(question)}"
        }
    return json.dumps(value, ensure_ascii=False)


def _search_results() -> list[dict[str, object]]:
    return [
        {
            "site_name": f"Emulated site {index}",
            "icon": f"https://example.com/icon-{index}.png",
            "index": index,
            "title": f"Emulated search result {index}",
            "url": f"https://example.com/result/{index}",
        }
        for index in (1, 2)
    ]


def _stop(request: ValidRequest, answer: Answer) -> Answer:
    """Cut the text before the first stop string."""
    stops = request.parameters.get("stop") or ()
    strings = [stops] if isinstance(stops, str) else [s for s in stops if isinstance(s, str) and s]
    found = [at for at in map(answer.text.find, strings) if at >= 0]
    return replace(answer, text=answer.text[: min(found)]) if found else answer


def _limit(request: ValidRequest, answer: Answer) -> Answer:
    """End the answer at the token limits; the reasoning is first, then come text and calls."""
    if budget := request.parameters.get("thinking_budget"):
        answer = replace(answer, reasoning=cut_to_tokens(answer.reasoning, budget))
    shared = request.row.max_reasoning_tokens is None  # max_tokens counts the reasoning as well
    limits = [request.parameters.get("max_completion_tokens")]
    if shared:
        limits.append(request.parameters.get("max_tokens"))
    both = min((limit for limit in limits if limit), default=None)
    if both is not None:
        thought = count_tokens(answer.reasoning)
        if thought > both or (thought == both and answer.reasoning):
            reasoning = cut_to_tokens(answer.reasoning, both)
            return replace(
                answer, reasoning=reasoning, text="", tool_calls=(), finish_reason="length"
            )
        answer = _limit_text(answer, both - thought)
    if not shared and (limit := request.parameters.get("max_tokens")):
        answer = _limit_text(answer, limit)
    return answer


def _limit_text(answer: Answer, tokens: int) -> Answer:
    """Cut the text and the arguments of the calls."""
    calls = answer.tool_calls
    texts = [answer.text, *(part for call in calls for part in (call.name, call.arguments))]
    if count_tokens(*texts) <= tokens:
        return answer
    text, left, kept = cut_to_tokens(answer.text, tokens), tokens - count_tokens(answer.text), []
    for call in calls:
        left -= count_tokens(call.name)
        if left < 0:
            break
        kept.append(replace(call, arguments=cut_to_tokens(call.arguments, left)))
        left -= count_tokens(call.arguments)
    return replace(answer, text=text, tool_calls=tuple(kept), finish_reason="length")
