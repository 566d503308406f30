"""What is written of a row: an answer, or a dead letter that quotes neither prompt nor answer."""

import json
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from pydantic import ValidationError

from langchain_dashscope_deepseek import DashScopeError


class Record(NamedTuple):
    """What became of a row."""

    id: str
    answered: bool
    text: str
    """What goes into a file, as a JSON object."""
    requests: int
    input_tokens: int = 0
    output_tokens: int = 0


class Facts(NamedTuple):
    """What is known of a row whether or not it was answered."""

    id: str
    seconds: float
    """Of the last attempt."""
    attempts: int


def answer_record(facts: Facts, message: AIMessage, parsed: Any = None) -> Record:
    """Keep an answer, and the object that was read from it if one was asked for."""
    fields = {
        "text": message.text,
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        "tool_calls": message.tool_calls if parsed is None else [],
        "parsed": parsed,
    }
    return _record(facts, fields, message, answered=True)


def dead_record(
    facts: Facts, error: BaseException | None, message: AIMessage | None = None
) -> Record:
    """Keep why there is no answer, and the bill of one that did not fit."""
    fields: dict[str, Any] = {"code": type(error).__name__, "message": _explain(error)}
    fields |= {"request_id": None, "finish_reason": None}
    if isinstance(error, DashScopeError):
        fields |= {"code": error.code or fields["code"], "request_id": error.request_id}
    return _record(facts, fields, message, answered=False)


def _record(
    facts: Facts, fields: dict[str, Any], message: AIMessage | None, *, answered: bool
) -> Record:
    usage: dict[str, Any] = {}
    if message is not None:
        usage = dict(message.usage_metadata or {})
        fields["request_id"] = message.response_metadata.get("request_id")
        fields["finish_reason"] = message.response_metadata.get("finish_reason")
    whole = {"id": facts.id, **fields, "usage": usage or None}
    whole |= {"seconds": round(facts.seconds, 3), "attempts": facts.attempts}
    text = json.dumps(whole, ensure_ascii=False)
    tokens = (usage.get(f"{side}_tokens", 0) for side in ("input", "output"))
    return Record(facts.id, answered, text, facts.attempts, *tokens)


def _explain(error: BaseException | None) -> str:
    if isinstance(error, DashScopeError):
        return str(error)
    if isinstance(error, ValidationError):
        places = (f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors())
        return f"The answer does not fit the schema ({'; '.join(places)})."
    # The text of a foreign error may quote what was asked or answered.
    return "The messages, or the answer, are not of a form that LangChain reads."
