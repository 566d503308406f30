"""The emulator of DashScope's two generation routes, with a queue of scripted answers."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args
from uuid import uuid4

from typing_extensions import Self

from langchain_dashscope_deepseek.capabilities import ModelCapabilities, Route, find_capabilities
from langchain_dashscope_deepseek.testing._answers import answer_request
from langchain_dashscope_deepseek.testing._cache import PrefixCache
from langchain_dashscope_deepseek.testing._checks import (
    Accepted,
    ValidRequest,
    check_body,
    check_key,
    refuse_required_with_several_tools,
)
from langchain_dashscope_deepseek.testing._errors import ServiceError
from langchain_dashscope_deepseek.testing._render import IMAGE_TOKENS, Answer, Rendering, ToolCall
from langchain_dashscope_deepseek.testing._responses import (
    Exchange,
    FailureShape,
    parse_request,
    respond,
    respond_cut,
    respond_error,
    respond_error_after,
    respond_raw,
    with_headers,
)
from langchain_dashscope_deepseek.testing._routes import check_route, find_route, validate_bindings
from langchain_dashscope_deepseek.testing._server import RecordedRequest, Response, Server

logger: logging.Logger = logging.getLogger(__name__)


class DashScopeEmulator:
    """An emulator of DashScope's service for DeepSeek models, on this machine.

    It validates requests as the service does, generates answers or sends scripted ones, and records
    the requests. It listens on 127.0.0.1 only, and downloads no images.

    Like the service it has two routes, `text-generation` and `multimodal-generation`, and each
    model is on exactly one of them. On the second one contents are lists, in requests and in
    answers, and images are accepted.

    Example:
        ```python
        with DashScopeEmulator() as emulator:
            emulator.reply("Hello!")
            ...  # call a client with base_url=emulator.base_url, api_key=emulator.api_key
            assert emulator.requests[0].body["model"] == "deepseek-v4-pro"
        ```
    """

    api_key = "sk-emulator"

    def __init__(
        self,
        *,
        port: int = 0,
        models: Mapping[str, ModelCapabilities] | None = None,
        strict_replay: bool = True,
        routes: Mapping[str, Route | None] | None = None,
        accepts: Collection[Accepted] = (),
        keep_requests: int | None = 1_000,
    ) -> None:
        """Create an emulator; `start()` or a `with` block starts it.

        Args:
            port: The port; 0 selects a free one.
            models: Rows that are added to the capability table or replace rows of it.
            strict_replay: Refuse requests without the reasoning of a turn with tool calls, if the
                model needs it and thinks, and reasoning for models that must not receive it.
            routes: The route of a model, by its exact name, such as
                `{"deepseek-v4.1-flash": "text-generation"}`; `None` means neither. Other models
                have the first of their row's `routes`. A request on the wrong route gets
                `url error`, and no scripted answer is used up.
            accepts: Requests to accept that are refused by default, since sources disagree whether
                the service refuses them. `"required_with_several_tools"`: several tools with
                `tool_choice="required"` (a refusal uses up no scripted answer).
                `"forced_choice_while_thinking"`: `"required"` or a named function while the model
                thinks.
            keep_requests: How many of the last requests to keep in `requests`; `None` for all.

        Raises:
            ValueError: `routes` contains an unknown route, or `accepts` an unknown value.
        """
        if unknown := set(accepts) - set(get_args(Accepted)):
            message = f"accepts may contain {', '.join(get_args(Accepted))}, not {sorted(unknown)}."
            raise ValueError(message)
        self._routes = dict(routes or {})
        validate_bindings(self._routes)
        self._port, self._models, self._strict_replay = port, dict(models or {}), strict_replay
        self._accepts = accepts
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=keep_requests)
        self._scripts: deque[Callable[[Exchange], Response]] = deque()
        self._cache = PrefixCache()
        self._server: Server | None = None

    def start(self) -> Self:
        """Start the server.

        Returns:
            The emulator itself.
        """
        if self._server is None or self._server.stopping.is_set():
            self._server = Server(self._port, self._answer)
            self._server.start()
        return self

    def stop(self) -> None:
        """Stop at once: cut answers that are being sent, close connections and end threads."""
        if self._server is not None and not self._server.stopping.is_set():
            self._server.stop()

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(self, *error: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def base_url(self) -> str:
        """The base URL, `http://127.0.0.1:PORT/api/v1`."""
        if self._server is None or self._server.stopping.is_set():
            message = "The emulator is not running: use it in a with block, or call start()."
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._server.port}/api/v1"

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the last requests, at most `keep_requests`, including refused ones."""
        with self._lock:
            return list(self._requests)

    @property
    def pending(self) -> int:
        """The number of scripted answers in the queue."""
        with self._lock:
            return len(self._scripts)

    @property
    def open_streams(self) -> int:
        """The number of streamed answers that are being sent."""
        return self._server.open_streams if self._server else 0

    @property
    def disconnects(self) -> int:
        """The number of clients that disconnected before the end of their answer."""
        return self._server.disconnects if self._server else 0

    def clear(self) -> None:
        """Remove the recorded requests, the scripted answers and the cached prefixes."""
        with self._lock:
            self._requests.clear()
            self._scripts.clear()
            self._cache = PrefixCache()

    # --- scripts ---

    def reply(
        self,
        text: str = "",
        *,
        reasoning: str = "",
        tool_calls: Sequence[Mapping[str, Any]] = (),
        finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
        search_results: Sequence[Mapping[str, Any]] | None = None,
        delay: float = 0.0,
        piece_delay: float = 0.0,
        pieces: Sequence[str] | None = None,
        times: int = 1,
    ) -> None:
        """Queue an answer; it is streamed if the request asks for a stream.

        The request is validated. A refused request also removes the answer from the queue, unless
        the key or the route is wrong, or `"required"` comes with several tools.

        Args:
            text: The text. `stop` and the token limits do not shorten it.
            reasoning: The reasoning, sent before the text.
            tool_calls: Calls as `{"name": ..., "arguments": dict or JSON text, "id": ...}`; the
                JSON text may be malformed, the id is optional.
            finish_reason: By default `"tool_calls"` with tool calls, else `"stop"`.
            usage: The usage of every packet, instead of an estimate.
            search_results: The results of a web search.
            delay: Seconds before the answer.
            piece_delay: Seconds between the packets of a stream.
            pieces: The text of each packet of a stream; `text` is then optional.
            times: How many requests receive this answer.
        """
        answer = Answer(
            text=text or "".join(pieces or ()),
            reasoning=reasoning,
            tool_calls=tuple(map(_tool_call, tool_calls)),
            finish_reason=finish_reason or ("tool_calls" if tool_calls else "stop"),
            usage=usage,
            search_results=search_results,
            pieces=tuple(pieces) if pieces else None,
        )

        def script(exchange: Exchange) -> Response:
            request = self._check(exchange)
            rendering = self._rendering(request, exchange)
            response = respond(answer, rendering, stream=request.stream)
            return replace(response, delay=delay, piece_delay=piece_delay)

        self._queue(script, times)

    def fail(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        shape: FailureShape = "json",
        after: int | None = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        times: int = 1,
    ) -> None:
        """Queue an error.

        Of the request, only the key, the route, and a tool choice of `required` are validated.

        Args:
            code: DashScope's error code, such as `"Throttling.RateQuota"`.
            message: The error message.
            status: The HTTP status; with SSE, the status in the event.
            shape: `"json"`: a JSON body. `"sse"`: an error event under status 200. `"sse_as_json"`:
                the error event under `status`, with the content-type of JSON. `"openai"`:
                `{"error": {...}}`. `"html"`: an error page of a proxy.
            after: Send this many valid packets before the error event; `shape` is then ignored. A
                request without a stream receives the JSON body.
            headers: Additional headers, such as `retry-after`; an empty value removes one.
            delay: Seconds before the response.
            times: How many requests receive this error.
        """
        error = ServiceError(code, message, status)

        def script(exchange: Exchange) -> Response:
            if after is not None and exchange.stream:
                response = respond_error_after(after, error, exchange)
            else:
                response = respond_error(error, exchange, "json" if after is not None else shape)
            return replace(with_headers(response, headers), delay=delay)

        self._queue(script, times)

    def cut(
        self,
        after: int,
        *,
        text: str = "",
        reasoning: str = "",
        how: Literal["close", "clean"] = "close",
        times: int = 1,
    ) -> None:
        """Queue a streamed answer that ends too early.

        A request without a stream receives half a body.

        Args:
            after: How many packets are sent, at most all but the last.
            text: The text of the whole answer; by default one that is long enough, or none if
                `reasoning` is given.
            reasoning: The reasoning, sent before the text.
            how: `"close"` drops the connection in mid-body; `"clean"` ends the body properly,
                without a finish reason.
            times: How many requests receive this answer.
        """
        drop = how == "close"

        def script(exchange: Exchange) -> Response:
            return respond_cut(after, exchange, text=text, reasoning=reasoning, drop=drop)

        self._queue(script, times)

    def stall(self, after: int, seconds: float, *, times: int = 1) -> None:
        """Queue a streamed answer that stalls; its connection is dropped afterwards.

        Args:
            after: How many packets are sent. A request without a stream receives half a body.
            seconds: How long nothing is sent, unless the client disconnects or the emulator stops.
            times: How many requests receive this answer.
        """

        def script(exchange: Exchange) -> Response:
            return replace(respond_cut(after, exchange, drop=True), silence=seconds)

        self._queue(script, times)

    def raw(
        self,
        body: bytes | str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        piece: int | None = None,
        times: int = 1,
    ) -> None:
        """Queue a body that is sent unchanged.

        Args:
            body: The bytes, or a text that is encoded as UTF-8.
            status: The HTTP status.
            headers: Additional headers. The default content-type is the one that the request asks
                for; an empty value removes it.
            piece: Send chunks of this many bytes, each flushed; by default one body.
            times: How many requests receive this body.
        """
        content = body.encode() if isinstance(body, str) else body

        def script(exchange: Exchange) -> Response:
            return respond_raw(content, exchange, status=status, headers=headers, piece=piece)

        self._queue(script, times)

    def _queue(self, script: Callable[[Exchange], Response], times: int) -> None:
        with self._lock:
            self._scripts.extend([script] * times)

    # --- answers ---

    def _answer(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Response:
        exchange = Exchange(parse_request(method, path, headers, raw), str(uuid4()))
        with self._lock:
            self._requests.append(exchange.request)
        try:
            exchange = replace(exchange, route=find_route(method, path))
            check_key(headers)
            self._check_route(exchange)
            refuse_required_with_several_tools(exchange.request.body, self._accepts)
            with self._lock:
                script = self._scripts.popleft() if self._scripts else self._generate
            response = script(exchange)
        except ServiceError as error:
            in_sse = error.in_stream and exchange.stream
            response = respond_error(error, exchange, "sse" if in_sse else "json")
        except Exception as error:
            logger.exception("The emulator failed.")
            failure = ServiceError("InternalError", f"The emulator failed: {error!r}", 500)
            response = respond_error(failure, exchange, "json")
        return replace(response, headers={"x-request-id": exchange.request_id, **response.headers})

    def _generate(self, exchange: Exchange) -> Response:
        request = self._check(exchange)
        return respond(
            answer_request(request), self._rendering(request, exchange), stream=request.stream
        )

    def _check_route(self, exchange: Exchange) -> None:
        match exchange.request.body:
            case {"model": str(model)}:
                check_route(exchange.route, model, self._find_row(model), self._routes)

    def _find_row(self, model: str) -> ModelCapabilities | None:
        return self._models.get(model) or find_capabilities(model)

    def _check(self, exchange: Exchange) -> ValidRequest:
        return check_body(
            exchange.request.body,
            stream=exchange.stream,
            multimodal=exchange.multimodal,
            resolves_oss=exchange.resolves_oss,
            find_row=self._find_row,
            strict_replay=self._strict_replay,
            accepts=self._accepts,
        )

    def _rendering(self, request: ValidRequest, exchange: Exchange) -> Rendering:
        return Rendering(
            request_id=exchange.request_id,
            multimodal=exchange.multimodal,
            thinking=request.thinking,
            incremental=request.parameters.get("incremental_output") is True,
            input_tokens=request.input_tokens,
            image_tokens=IMAGE_TOKENS * request.images,
            cached_tokens=self._cache.count(request) if request.row.cache else None,
            # Documented samples of models that always think have only the three totals.
            details=request.row.thinking != "always",
        )


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    arguments = call.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(call["name"], arguments, call.get("id") or f"call_{uuid4().hex[:22]}")
