"""From a row, messages and parameters to a request: what is sent, left out, or refused.

Pure: no I/O, no LangChain. Three rules decide on a parameter:

- a value that no model takes is refused (`DashScopeInputError`);
- a *feature* that the row forbids is refused (`DashScopeUnsupportedError`): without it the answer
  would be wrong;
- a *knob* that the row forbids is left out with a `DashScopeWarning`: people switch models for
  one call, and that must not fail.

What the caller leaves out is left out: no defaults of our own are sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_dashscope_deepseek._dashscope.protocol.hints import Advice, advice_on
from langchain_dashscope_deepseek._dashscope.protocol.json_text import HALF_OF_A_PAIR
from langchain_dashscope_deepseek._dashscope.protocol.packets import WireMessage
from langchain_dashscope_deepseek._dashscope.protocol.parameters import PARAMETERS, check_values
from langchain_dashscope_deepseek._dashscope.protocol.tool_use import (
    by_name,
    check_tools,
    unsupported,
)
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.capabilities import TEXT_FIRST, ModelCapabilities, Route
from langchain_dashscope_deepseek.errors import (
    DashScopeError,
    DashScopeInputError,
    DashScopeUnsupportedError,
)

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
    from langchain_dashscope_deepseek._dashscope.transport.retry import RetryPolicy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRequest:
    """A request, ready to be sent.

    Attributes:
        model: The model's name.
        body: The JSON body as the text route takes it. Kept out of the repr: it holds the prompt.
        streamed: Whether the answer is asked for as a stream.
        endpoint: Where it goes, and with which key and headers.
        policy: How often to try, and for how long.
        routes: The routes that may serve it, the one to ask first.
        advice: Sentences for the case that the service answers with an error of such a class.
        changes: What was sent otherwise than it was asked for: by parameter, as
            `{"asked": ..., "sent": ...}`, and under `"messages"` a list of sentences.
    """

    model: str
    body: Mapping[str, Any] = field(repr=False)
    streamed: bool
    endpoint: Endpoint
    policy: RetryPolicy
    routes: tuple[Route, ...] = TEXT_FIRST
    advice: tuple[Advice, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def route(self) -> Route:
        """The route to ask."""
        return self.routes[0]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that this request needs beside those of every request."""
        held = (part.get("image", "") for part in _parts(self.body["input"]["messages"]))
        oss = any(image[:6].lower() == "oss://" for image in held)
        return {
            "Accept": "text/event-stream" if self.streamed else "application/json",
            **({"X-DashScope-SSE": "enable"} if self.streamed else {}),
            **({"X-DashScope-OssResourceResolve": "enable"} if oss else {}),
        }

    def advise(self, error: DashScopeError) -> None:
        """Add to an error what helps with this request."""
        for kind, text in self.advice:
            if type(error) is kind:
                error.add_advice(text)

    def content(self) -> bytes:
        """Encode the body for the route.

        Raises:
            DashScopeInputError: It holds something that JSON in UTF-8 cannot.
        """
        body = self.body
        if self.route == "multimodal-generation":
            messages = [_with_list(message) for message in body["input"]["messages"]]
            body = {**body, "input": {**body["input"], "messages": messages}}
        try:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode("utf-8")
        except UnicodeEncodeError:
            msg = f"A message or parameter {HALF_OF_A_PAIR}"
        except (TypeError, ValueError, RecursionError):
            msg = (
                "A message or parameter holds a value that JSON cannot carry. Use strings, finite "
                "numbers, booleans, None, lists and dicts"
            )
        # Outside the handlers: their exceptions hold the prompt.
        raise DashScopeInputError(msg)


def _parts(messages: Sequence[WireMessage]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of all messages that hold images; the others are strings."""
    for message in messages:
        if isinstance(message["content"], list):
            yield from message["content"]


def _with_list(message: WireMessage) -> WireMessage:
    """Write a message as the multimodal route takes it: every content a list of parts."""
    content = message["content"]
    if isinstance(content, list):
        return message
    has_none = not content and message["role"] == "assistant"
    return {**message, "content": [] if has_none else [{"text": content}]}


def choose_parameters(row: ModelCapabilities | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what is sent of the parameters that were asked for.

    Args:
        row: What the model can do; `None` if nobody knows.
        settings: The settings of the call; parameters that are `None` are left out.

    Raises:
        DashScopeInputError: A parameter has a value that no model takes.
        DashScopeUnsupportedError: The row forbids a feature.
    """
    check_values(settings)
    model = settings["model"]
    wanted = {name: settings[name] for name in PARAMETERS if settings[name] is not None}
    if not wanted.get("stop", True):
        del wanted["stop"]
    sent = wanted if row is None else _without_knobs(model, row, wanted)
    _check_features(model, row, sent)
    check_tools(model, row, sent)
    if row is not None:
        _settle_thinking(model, row, sent)
    return sent


def prepare(
    settings: Mapping[str, Any],
    row: ModelCapabilities | None,
    parameters: Mapping[str, Any],
    messages: Sequence[WireMessage],
    *,
    stream: bool | None,
    endpoint: Endpoint,
    policy: RetryPolicy,
    changes: Sequence[str] = (),
) -> PreparedRequest:
    """Prepare a request.

    Args:
        settings: The settings of the call.
        row: What the model can do; `None` if nobody knows.
        parameters: What `choose_parameters` chose of the settings.
        messages: The messages as the wire has them.
        stream: Whether to ask for a stream; `None` leaves that to the row: an answer that
            is thought about is streamed, because proxies cut connections that are silent for
            minutes.
        endpoint: Where the request goes.
        policy: How often to try, and for how long.
        changes: What in the messages is otherwise than it was given.

    Raises:
        DashScopeInputError: The messages or the extra parameters do not fit the others.
    """
    model, extra = settings["model"], settings["model_kwargs"] or {}
    _check_json_is_named(row, parameters, messages)
    may_think = row is None or row.thinks({**parameters, **extra}.get("enable_thinking"))
    _check_partial(model, row, messages, thinking=may_think)
    must_stream = row is not None and row.thinking_needs_stream and may_think
    streamed = must_stream or (may_think if stream is None else stream)
    ours = {"result_format": "message", **({"incremental_output": True} if streamed else {})}
    routes = _routes(row, messages)
    return PreparedRequest(
        model=model,
        body={
            "model": model,
            "input": {"messages": list(messages)},
            "parameters": {**ours, **parameters, **extra},
        },
        streamed=streamed,
        endpoint=endpoint,
        policy=policy,
        routes=routes,
        advice=tuple(advice_on(row, settings, parameters, routes)),
        changes={
            **_changes(model, settings, parameters),
            **({"messages": list(changes)} if changes else {}),
        },
    )


def _without_knobs(model: str, row: ModelCapabilities, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the row says cannot be set or does nothing, with a warning each."""
    sent = dict(wanted)
    for name, rule in PARAMETERS.items():
        if rule.is_knob and name in sent and not row.can_set(name):
            _leave_out(sent, name, model, "cannot be set on this model")
    thinking = sent.get("enable_thinking")
    if thinking is not None and row.thinking == "never":
        _leave_out(sent, "enable_thinking", model, "does nothing: this model never thinks")
    elif thinking is False and row.thinking == "always":
        _leave_out(sent, "enable_thinking", model, "does nothing: this model always thinks")
    effort = sent.get("reasoning_effort")
    if effort is not None and row.settable is not None and not row.knows_effort(effort):
        if row.efforts or effort == "none":
            raise _unknown_effort(model, row, effort)
        _leave_out(sent, "reasoning_effort", model, "cannot be set on this model")
    return sent


def _unknown_effort(
    model: str, row: ModelCapabilities, effort: str | int
) -> DashScopeUnsupportedError:
    """Return the error for a value that no page documents; it is quoted if it is short."""
    shown = repr(effort)[:20]
    instead = f"Documented: {row.efforts}. " if row.efforts else ""
    off = "To switch thinking off, set enable_thinking=False" if row.is_hybrid else ""
    msg = f"reasoning_effort={shown} is not documented for {model}. {instead}{off}".rstrip()
    return DashScopeUnsupportedError(msg)


def _leave_out(sent: dict[str, Any], name: str, model: str, reason: str) -> None:
    del sent[name]
    text = f"{name} was left out of the request to {model}: it {reason}."
    warn(text)


def _check_features(model: str, row: ModelCapabilities | None, sent: Mapping[str, Any]) -> None:
    if row is None:
        return
    kind = sent.get("response_format", {}).get("type", "text")
    if row.takes_format(kind) is False:
        feature = f"response_format of type {kind!r}"
        raise unsupported(model, feature, lambda other: bool(other.takes_format(kind)))
    if sent.get("enable_search") and row.search is False:
        raise unsupported(model, "web search (enable_search)", lambda other: bool(other.search))


def _check_json_is_named(
    row: ModelCapabilities | None, sent: Mapping[str, Any], messages: Sequence[WireMessage]
) -> None:
    if row is None or sent.get("response_format", {}).get("type") != "json_object":
        return
    texts = (message["content"] for message in messages if isinstance(message["content"], str))
    parts = (str(part.get("text", "")) for part in _parts(messages))
    if not any("json" in text.lower() for text in chain(texts, parts)):
        msg = (
            "response_format json_object needs the word 'json' in a message, or the service "
            "refuses: say in the prompt that JSON is wanted"
        )
        raise DashScopeInputError(msg)


def _check_partial(
    model: str, row: ModelCapabilities | None, messages: Sequence[WireMessage], *, thinking: bool
) -> None:
    if row is None or not messages[-1].get("partial") or row.takes_partial(thinking=thinking):
        return
    if row.is_hybrid and row.takes_partial(thinking=False):
        msg = (
            f"{model} continues an AI message only while it does not think: set "
            "enable_thinking=False"
        )
        raise DashScopeUnsupportedError(msg)
    feature = "continuing an AI message (partial)"
    raise unsupported(
        model, feature, lambda other: other.partial in ("always", "when_not_thinking")
    )


def _settle_thinking(model: str, row: ModelCapabilities, sent: dict[str, Any]) -> None:
    """Let what was asked for by name win over what the model does by default.

    By the service's error texts it takes no forced tool choice and no JSON mode while the model
    thinks. Thinking that nobody asked for is switched off for the request; thinking that was asked
    for, or that cannot be switched off, stays.
    """
    choice = sent.get("tool_choice")
    forced = choice == "required" or isinstance(choice, Mapping)
    kind = sent.get("response_format", {}).get("type")
    json_mode = kind in ("json_object", "json_schema")
    switch = sent.get("enable_thinking")
    if not (forced or json_mode) or not row.thinks(switch):
        return
    if row.thinking == "unknown" and switch is None:
        return  # the service knows
    if row.is_hybrid and "enable_thinking" not in sent:
        sent["enable_thinking"] = False
        return
    if forced:
        sent["tool_choice"] = "auto"
        text = (
            f"tool_choice was sent to {model} as 'auto': by its error texts the service takes no "
            "forced choice while the model thinks."
        )
        warn(text)
    if json_mode and row.is_hybrid:
        msg = (
            "By its error texts the service takes no JSON mode while the model thinks: set "
            "enable_thinking=False for this call, or leave enable_thinking out"
        )
        raise DashScopeInputError(msg)


def _changes(
    model: str, asked: Mapping[str, Any], sent: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """List which settings of thinking and tool choice were sent otherwise than asked for."""
    changes = {
        name: {"asked": asked.get(name), "sent": sent.get(name)}
        for name in ("enable_thinking", "tool_choice")
        if by_name(asked.get(name), sent.get("tools", ())) != sent.get(name)
    }
    for name, change in changes.items():
        text = "%s was asked for as %r and sent to %s as %r"
        logger.info(text, name, change["asked"], model, change["sent"])
    return changes


def _routes(row: ModelCapabilities | None, messages: Sequence[WireMessage]) -> tuple[Route, ...]:
    """Return the routes that may serve a request; the text route would lose its images."""
    if next(_parts(messages), None) is not None:
        return ("multimodal-generation",)
    return TEXT_FIRST if row is None else row.routes
