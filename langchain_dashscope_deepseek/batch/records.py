"""What is written of a row: an answer, or a dead letter that quotes neither prompt nor answer."""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from pydantic import ValidationError

from langchain_dashscope_deepseek import (
    DashScopeError,
    DashScopeInputError,
    DashScopeUnsupportedError,
)

LOCAL = DashScopeInputError, DashScopeUnsupportedError  # refused before anything was sent


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


def parsed_record(
    facts: Facts, message: AIMessage, read: Mapping[str, Any], names: Collection[str]
) -> Record:
    """Keep an answer that a schema was to read, and the bill of one that did not fit.

    Args:
        facts: What is known of the row.
        message: The answer.
        read: What came of it: `parsed`, or a `parsing_error`.
        names: The names of the schema's fields, which a dead letter may quote.
    """
    error = read["parsing_error"]
    if read["parsed"] is not None:
        try:
            parsed = read["parsed"].model_dump(mode="json")
            json.dumps(parsed, allow_nan=False)
            return answer_record(facts, message, parsed)
        except ValueError as caught:  # such as an infinite number
            error = caught
    return dead_record(facts, error, message, names)


def dead_record(
    facts: Facts,
    error: BaseException | None,
    message: AIMessage | None = None,
    names: Collection[str] = (),
) -> Record:
    """Keep why there is no answer."""
    fields: dict[str, Any] = {"code": type(error).__name__, "message": _explain(error, names)}
    fields |= {"request_id": None, "finish_reason": None}
    if message is not None and not isinstance(error, ValidationError):
        fields["message"] = "The answer holds no object of the schema that JSON can hold."
    if isinstance(error, DashScopeError):
        fields |= {"code": error.code or fields["code"], "request_id": error.request_id}
    sent = message is not None or (
        isinstance(error, DashScopeError) and not isinstance(error, LOCAL)
    )
    return _record(facts, fields, message, answered=False, sent=sent)


def _record(
    facts: Facts,
    fields: dict[str, Any],
    message: AIMessage | None,
    *,
    answered: bool,
    sent: bool = True,
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
    return Record(facts.id, answered, text, facts.attempts if sent else 0, *tokens)


def _explain(error: BaseException | None, names: Collection[str]) -> str:
    if isinstance(error, DashScopeError):
        return str(error)
    if isinstance(error, ValidationError):
        # A key that is not the schema's is the answer's.
        places = (
            ".".join(str(key) if isinstance(key, int) or key in names else "*" for key in e["loc"])
            + f": {e['type']}"
            for e in error.errors()
        )
        return f"The answer does not fit the schema ({'; '.join(places)})."
    # The text of a foreign error may quote what was asked or answered.
    return "The messages, or the answer, are not of a form that LangChain reads."
