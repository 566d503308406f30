"""Prepares a request: decides which parameters are sent, left out, or refused for a model.

`parameters` has refused the values that no model supports. Two rules decide on the others:

- a feature that the model does not support is refused (`DashScopeUnsupportedError`): without it the
  answer would be wrong;
- a parameter that may be dropped, and that the model does not support, is left out with a
  `DashScopeWarning`, so that a call with another model does not fail.

While the model thinks, a forced tool choice becomes `"auto"`. Parameters that the caller leaves out
are not sent, except for `result_format`, `incremental_output`, and `enable_thinking=False`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dashscope_deepseek._dashscope.protocol.packets import LONE_SURROGATE, WireMessage
from langchain_dashscope_deepseek._dashscope.protocol.parameters import DROPPABLE, PARAMETERS
from langchain_dashscope_deepseek._dashscope.protocol.tool_use import (
    required_as_name,
    resolve_tools,
    unsupported,
)
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.capabilities import (
    TEXT_FIRST,
    UNKNOWN_MODEL,
    ModelCapabilities,
    Route,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError, DashScopeUnsupportedError

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
    from langchain_dashscope_deepseek._dashscope.transport.retry import RetryPolicy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRequest:
    """A request, ready to be sent."""

    model: str
    body: Mapping[str, Any] = field(repr=False)  # for the text route; holds the prompt
    streamed: bool
    endpoint: Endpoint
    policy: RetryPolicy
    row: ModelCapabilities = UNKNOWN_MODEL
    routes: tuple[Route, ...] = TEXT_FIRST  # in the order in which to try them
    # The parameters that were sent with another value, as `{"asked": ..., "sent": ...}`, and under
    # "messages" a sentence on each change to the messages.
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def route(self) -> Route:
        """The route to send the request to."""
        return self.routes[0]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of this request, in addition to those of every request."""
        images = (part.get("image", "") for part in _parts(self.body["input"]["messages"]))
        oss = any(image[:6].lower() == "oss://" for image in images)
        return {
            "Accept": "text/event-stream" if self.streamed else "application/json",
            **({"X-DashScope-SSE": "enable"} if self.streamed else {}),
            **({"X-DashScope-OssResourceResolve": "enable"} if oss else {}),
        }

    def content(self) -> bytes:
        """Encode the body for the route."""
        body = self.body
        if self.route == "multimodal-generation":
            messages = [_with_list(message) for message in body["input"]["messages"]]
            body = {**body, "input": {**body["input"], "messages": messages}}
        try:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode("utf-8")
        except UnicodeEncodeError:
            msg = f"A message or parameter {LONE_SURROGATE}"
        except (TypeError, ValueError, RecursionError):
            msg = (
                "A message or parameter holds a value that JSON cannot represent. Use strings, "
                "finite numbers, booleans, None, lists and dicts"
            )
        # Raised outside the handlers, whose exceptions hold the prompt.
        raise DashScopeInputError(msg)


def _parts(messages: Sequence[WireMessage]) -> list[Mapping[str, Any]]:
    """Return the parts of all messages that hold images; the other contents are strings."""
    return [part for m in messages if isinstance(m["content"], list) for part in m["content"]]


def _with_list(message: WireMessage) -> WireMessage:
    """Return a message whose content is a list of parts, as on the multimodal route."""
    content = message["content"]
    if isinstance(content, list):
        return message
    is_empty = not content and message["role"] == "assistant"
    return {**message, "content": [] if is_empty else [{"text": content}]}


def choose_parameters(row: ModelCapabilities, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters to send; those that are `None` are left out."""
    model = settings["model"]
    sent = {name: settings[name] for name in PARAMETERS if settings[name] is not None}
    if not sent.get("stop", True):
        del sent["stop"]
    _drop_unsupported(model, row, sent)
    _check_features(model, row, sent)
    resolve_tools(model, row, sent)
    _resolve_thinking(model, row, sent)
    return sent


def prepare(
    settings: Mapping[str, Any],
    row: ModelCapabilities,
    parameters: Mapping[str, Any],
    messages: Sequence[WireMessage],
    *,
    stream: bool | None,
    endpoint: Endpoint,
    policy: RetryPolicy,
    changes: Sequence[str] = (),
) -> PreparedRequest:
    """Prepare a request from settings, chosen parameters and messages.

    `stream=None` streams if the model thinks, since proxies close connections that are silent for
    minutes.
    """
    model, extra = settings["model"], settings["model_kwargs"] or {}
    may_think = row.thinks({**parameters, **extra}.get("enable_thinking"))
    _check_prompt_says_json(parameters, messages)
    _check_partial(model, row, messages, thinking=may_think)
    must_stream = may_think and row.thinking_needs_stream
    streamed = must_stream or (may_think if stream is None else stream)
    fixed = {"result_format": "message", **({"incremental_output": True} if streamed else {})}
    all_changes = _changes(model, settings, parameters)
    if changes:
        all_changes["messages"] = list(changes)
    return PreparedRequest(
        model=model,
        body={
            "model": model,
            "input": {"messages": list(messages)},
            "parameters": {**fixed, **parameters, **extra},
        },
        streamed=streamed,
        endpoint=endpoint,
        policy=policy,
        row=row,
        # The text route ignores images.
        routes=("multimodal-generation",) if _parts(messages) else row.routes,
        changes=all_changes,
    )


def _drop_unsupported(model: str, row: ModelCapabilities, sent: dict[str, Any]) -> None:
    """Leave out what the model does not support, with a warning; refuse an undocumented effort."""
    no_setting = "cannot be set on this model"
    reasons = {n: no_setting for n in sent if n in DROPPABLE and not row.can_set(n)}
    thinking, effort = sent.get("enable_thinking"), sent.get("reasoning_effort")
    if (row.thinking, thinking) in (("never", True), ("never", False), ("always", False)):
        reasons["enable_thinking"] = f"does nothing: this model {row.thinking} thinks"
    if effort is not None and not row.knows_effort(effort):
        if row.efforts_text:
            shown = repr(effort)[:20]  # it may be a prompt passed as the wrong argument
            raise DashScopeUnsupportedError(
                f"reasoning_effort={shown} is not documented for {model}. Documented: "
                f"{row.efforts_text}. To switch thinking off, set enable_thinking=False"
            )
        if row.settable is not None:
            reasons["reasoning_effort"] = no_setting
    for name, reason in reasons.items():
        del sent[name]
        warn(f"{name} was left out of the request to {model}: it {reason}.")


def _check_features(model: str, row: ModelCapabilities, sent: Mapping[str, Any]) -> None:
    kind = sent.get("response_format", {}).get("type", "text")
    if row.takes_format(kind) is False:
        feature = f"response_format of type {kind!r}"
        raise unsupported(model, feature, lambda other: bool(other.takes_format(kind)))
    if sent.get("enable_search") and row.search is False:
        raise unsupported(model, "web search (enable_search)", lambda other: bool(other.search))


def _check_prompt_says_json(sent: Mapping[str, Any], messages: Sequence[WireMessage]) -> None:
    if sent.get("response_format", {}).get("type") != "json_object":
        return
    parts = (part for message in messages for part in _with_list(message)["content"])
    if not any("json" in str(part.get("text", "")).lower() for part in parts):
        raise DashScopeInputError(
            "response_format json_object needs the word 'json' in a message, or the service "
            "refuses the request: ask for JSON in the prompt"
        )


def _check_partial(
    model: str, row: ModelCapabilities, messages: Sequence[WireMessage], *, thinking: bool
) -> None:
    if messages[-1].get("partial") and not row.takes_partial(thinking=thinking):
        raise unsupported(
            model,
            "continuing an AI message (partial)",
            lambda other: other.partial in ("always", "when_not_thinking"),
            without_thinking=row.is_hybrid and row.takes_partial(thinking=False),
        )


def _resolve_thinking(model: str, row: ModelCapabilities, sent: dict[str, Any]) -> None:
    """Switch off thinking that is not explicit, for a forced tool choice or JSON mode."""
    # According to its error texts, the service supports neither a forced tool choice nor JSON mode
    # while the model thinks.
    choice, switch = sent.get("tool_choice"), sent.get("enable_thinking")
    forced = choice == "required" or isinstance(choice, Mapping)
    json_mode = sent.get("response_format", {}).get("type") in ("json_object", "json_schema")
    if not (forced or json_mode) or not row.thinks(switch):
        return
    if switch is None and row.thinking != "always":
        if row.is_hybrid:
            sent["enable_thinking"] = False
        return  # where thinking is unknown, the service decides
    if forced:
        sent["tool_choice"] = "auto"
        warn(
            f"tool_choice was sent to {model} as 'auto', since the service does not support a "
            "forced choice while the model thinks: it may answer without calling a tool."
        )
    if json_mode and row.is_hybrid:
        raise DashScopeInputError(
            "The service does not support JSON mode while the model thinks: set "
            "enable_thinking=False for this call, or leave enable_thinking out"
        )


def _changes(model: str, asked: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of thinking and tool choice that are sent with another value."""
    changes = {
        name: {"asked": asked.get(name), "sent": sent.get(name)}
        for name in ("enable_thinking", "tool_choice")
        if required_as_name(asked.get(name), sent.get("tools", ())) != sent.get(name)
    }
    for name, change in changes.items():
        text = "%s was asked for as %r and sent to %s as %r"
        logger.info(text, name, change["asked"], model, change["sent"])
    return changes
