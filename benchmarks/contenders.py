"""The clients that are measured: this package, similar ones, and two baselines.

A contender is asked in one of its ways and gives what it gives, chunk by chunk; `read` turns that
into what was said, after the clock was stopped. A process imports its own contender only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

from benchmarks.answers import CALL_ID, MODEL, REQUEST_ID, TOOL_NAME, Answer

KEY = "sk-benchmark"
Messages = list[tuple[str, Any]]
"""Roles and contents: texts, or lists of blocks with a text each."""

QUESTION: Messages = [("user", "Why is the sky blue?")]
Said = tuple[str, str, str]
"""Reasoning, text and arguments of a tool call."""


class Contender:
    """Somebody who can be asked; what one cannot do is not defined.

    Attributes:
        imports: What a user of it imports.
        distribution: What a user of it installs.
        without_reasoning: Whether it drops the reasoning, as it is.
        chunk_per_event: Whether one event must give one chunk.
    """

    imports: ClassVar[str]
    distribution: ClassVar[str]
    without_reasoning: ClassVar[bool] = False
    chunk_per_event: ClassVar[bool] = False

    def __init__(self, server: str, path: str, *, streamed: bool = True) -> None:
        """Ask the server, which answers as the path says; for streams or for whole answers."""
        self.streamed = streamed
        self.native_url = f"{server}/{path}/api/v1"
        self.openai_url = f"{server}/{path}/v1"
        self.construct()

    def construct(self) -> None:
        """Make the object that is asked."""

    def prepare(self, answer: Answer, times: int) -> None:
        """Get ready, unmeasured, for an answer that will be asked for so often."""

    def read(self, chunk: Any) -> Said:
        """Say what a chunk, or a whole message, says."""
        raise NotImplementedError


class LangChain(Contender):
    """A chat model of LangChain; what differs is how it is made."""

    model: Any

    def stream(self, messages: Messages) -> Any:
        """Stream through LangChain's base class."""
        return self.model.stream(messages)

    def stream_events(self, messages: Messages) -> Any:
        """Stream v3 events."""
        return self.model.stream_events(messages, version="v3")

    def astream(self, messages: Messages) -> Any:
        """Stream asynchronously."""
        return self.model.astream(messages)

    def invoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece."""
        return self.model.invoke(messages)

    async def ainvoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece, asynchronously."""
        return await self.model.ainvoke(messages)

    def batch(self, messages: Messages, times: int) -> Any:
        """Ask many times at once, in threads."""
        return self.model.batch([messages] * times)

    def stream_directly(self, messages: Messages) -> Any:
        """Stream without the base class, which keeps every chunk."""
        return self.model._stream(self._converted(messages))

    def generate_directly(self, messages: Messages) -> Any:
        """Ask for the whole message without the base class; this package streams internally."""
        (generation,) = self.model._generate(self._converted(messages)).generations
        return generation.message

    def _converted(self, messages: Messages) -> list[Any]:
        from langchain_core.messages import convert_to_messages

        return convert_to_messages(messages)

    def read(self, chunk: Any) -> Said:
        """Read a chunk, a message, or a v3 event."""
        if isinstance(chunk, dict):
            return _read_event(chunk)
        message = getattr(chunk, "message", chunk)
        calls = getattr(message, "tool_call_chunks", None) or []
        arguments = "".join(call["args"] or "" for call in calls)
        reasoning = message.additional_kwargs.get("reasoning_content") or ""
        return reasoning, message.text, arguments


def _read_event(event: Mapping[str, Any]) -> Said:
    delta = event.get("delta", {}) if event.get("event") == "content-block-delta" else {}
    fields = delta.get("fields", {})
    return delta.get("reasoning", ""), delta.get("text", ""), fields.get("args", "")


class Ours(LangChain):
    """This package."""

    imports = "from langchain_dashscope_deepseek import ChatDashScopeDeepSeek"
    distribution = "langchain-dashscope-deepseek"
    chunk_per_event = True

    # By default a model that thinks streams underneath `invoke`; the others ask for one body.
    streaming_of_invoke: ClassVar[bool | None] = False

    def construct(self) -> None:
        """Ask over DashScope's native protocol."""
        from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

        self.model = ChatDashScopeDeepSeek(
            model=MODEL,
            api_key=KEY,
            base_url=self.native_url,
            streaming=None if self.streamed else self.streaming_of_invoke,
        )


class OursByDefault(Ours):
    """This package, where `invoke` streams underneath, as it does by default."""

    streaming_of_invoke = None


class DeepSeek(LangChain):
    """`langchain-deepseek`, over OpenAI's protocol."""

    imports = "from langchain_deepseek import ChatDeepSeek"
    distribution = "langchain-deepseek"

    def construct(self) -> None:
        """Ask over OpenAI's protocol."""
        from langchain_deepseek import ChatDeepSeek

        self.model = ChatDeepSeek(model=MODEL, api_key=KEY, base_url=self.openai_url)


class Qwen(LangChain):
    """`langchain-qwq`, over OpenAI's protocol."""

    imports = "from langchain_qwq import ChatQwen"
    distribution = "langchain-qwq"

    def construct(self) -> None:
        """Ask over OpenAI's protocol."""
        from langchain_qwq import ChatQwen

        self.model = ChatQwen(model=MODEL, api_key=KEY, base_url=self.openai_url)


class OpenAI(LangChain):
    """`langchain-openai`; it drops the reasoning."""

    imports = "from langchain_openai import ChatOpenAI"
    distribution = "langchain-openai"
    without_reasoning = True

    def construct(self) -> None:
        """Ask over OpenAI's protocol."""
        from langchain_openai import ChatOpenAI

        self.model = ChatOpenAI(model=MODEL, api_key=KEY, base_url=self.openai_url)


class Tongyi(LangChain):
    """`ChatTongyi` of `langchain-community`, over the `dashscope` package."""

    imports = "from langchain_community.chat_models import ChatTongyi"
    distribution = "langchain-community"

    def construct(self) -> None:
        """Ask over DashScope's native protocol."""
        import dashscope
        from langchain_community.chat_models import ChatTongyi

        dashscope.base_http_api_url = self.native_url
        # Its stream() streams only if told so here, and then its invoke() streams, too.
        self.model = ChatTongyi(model=MODEL, api_key=KEY, streaming=self.streamed)


class Sdk1(Contender):
    """The `dashscope` package, its 1.x surface."""

    imports = "from dashscope import AioGeneration, Generation"
    distribution = "dashscope"

    def construct(self) -> None:
        """Set what is global there."""
        import dashscope

        dashscope.base_http_api_url = self.native_url
        self._call: Any = dashscope.Generation.call
        self._acall: Any = dashscope.AioGeneration.call

    def stream(self, messages: Messages) -> Any:
        """Stream."""
        return self._call(**self._request(messages), stream=True, incremental_output=True)

    async def astream(self, messages: Messages) -> AsyncIterator[Any]:
        """Stream asynchronously."""
        request = self._request(messages)
        async for part in await self._acall(**request, stream=True, incremental_output=True):
            yield part

    def invoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece."""
        return self._call(**self._request(messages))

    async def ainvoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece, asynchronously."""
        return await self._acall(**self._request(messages))

    def _request(self, messages: Messages) -> dict[str, Any]:
        request = {"model": MODEL, "api_key": KEY, "result_format": "message"}
        return {**request, "messages": _wire(messages)}

    def read(self, chunk: Any) -> Said:
        """Read a packet."""
        return _read_native(chunk)


class Sdk2(Contender):
    """The `dashscope` package, its 2.x client."""

    imports = "from dashscope import AsyncClient, Client"
    distribution = "dashscope"

    def construct(self) -> None:
        """Ask over DashScope's native protocol."""
        from dashscope import AsyncClient, Client

        self._client = Client(api_key=KEY, base_url=self.native_url)
        self._aclient = AsyncClient(api_key=KEY, base_url=self.native_url)

    def stream(self, messages: Messages) -> Any:
        """Stream."""
        return self._client.chat.completions.create(
            model=MODEL, messages=_wire(messages), stream=True
        )

    async def astream(self, messages: Messages) -> AsyncIterator[Any]:
        """Stream asynchronously."""
        parts = await self._aclient.chat.completions.create(
            model=MODEL, messages=_wire(messages), stream=True
        )
        async for part in parts:
            yield part

    def invoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece."""
        return self._client.chat.completions.create(model=MODEL, messages=_wire(messages))

    async def ainvoke(self, messages: Messages) -> Any:
        """Ask for the answer in one piece, asynchronously."""
        return await self._aclient.chat.completions.create(model=MODEL, messages=_wire(messages))

    def read(self, chunk: Any) -> Said:
        """Read a packet, which looks like OpenAI's."""
        (choice,) = chunk.choices
        message = choice.delta if hasattr(choice, "delta") else choice.message
        arguments = [call.function.arguments or "" for call in message.tool_calls or ()]
        return message.reasoning_content or "", message.content or "", "".join(arguments)


class Wire(Contender):
    """The baseline of reading and parsing: only httpx, httpx-sse and JSON."""

    imports = "import httpx, httpx_sse, json"
    distribution = "httpx"

    def construct(self) -> None:
        """Ask over DashScope's native protocol."""
        import httpx

        # As many connections as there are streams, as this package has: httpx opens 100 by default.
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
        self._client = httpx.Client(limits=limits)
        self._aclient = httpx.AsyncClient(limits=limits)
        self._url = f"{self.native_url}/services/aigc/text-generation/generation"

    def stream(self, messages: Messages) -> Iterator[Any]:
        """Read the events and pick the delta."""
        from httpx_sse import EventSource

        headers, body = self._request(messages, {"X-DashScope-SSE": "enable"})
        with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            for event in EventSource(response).iter_sse():
                yield json.loads(event.data)["output"]["choices"][0]["message"]

    async def astream(self, messages: Messages) -> AsyncIterator[Any]:
        """Read the events and pick the delta, asynchronously."""
        from httpx_sse import EventSource

        headers, body = self._request(messages, {"X-DashScope-SSE": "enable"})
        async with self._aclient.stream(
            "POST", self._url, content=body, headers=headers
        ) as response:
            async for event in EventSource(response).aiter_sse():
                yield json.loads(event.data)["output"]["choices"][0]["message"]

    def invoke(self, messages: Messages) -> Any:
        """Read a body and pick the message."""
        headers, body = self._request(messages, {})
        response = self._client.post(self._url, content=body, headers=headers)
        return json.loads(response.content)["output"]["choices"][0]["message"]

    async def ainvoke(self, messages: Messages) -> Any:
        """Read a body and pick the message, asynchronously."""
        headers, body = self._request(messages, {})
        response = await self._aclient.post(self._url, content=body, headers=headers)
        return json.loads(response.content)["output"]["choices"][0]["message"]

    def batch(self, messages: Messages, times: int) -> list[Any]:
        """Ask many times at once, in threads."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as threads:
            return list(threads.map(self.invoke, [messages] * times))

    def _request(self, messages: Messages, more: dict[str, str]) -> tuple[dict[str, str], bytes]:
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            **more,
        }
        body = {"model": MODEL, "input": {"messages": _wire(messages)}, "parameters": {}}
        return headers, json.dumps(body, ensure_ascii=False).encode()

    def read(self, chunk: Any) -> Said:
        """Read a delta or a message."""
        return _read_wire_message(chunk)


class Core(LangChain):
    """The LangChain baseline: its base class with prepared chunks and results."""

    # The baseline of imports: the base class and httpx.
    imports = "import httpx; from langchain_core.language_models import BaseChatModel"
    distribution = "langchain-core"
    chunk_per_event = True

    def construct(self) -> None:
        """Make a model that takes its answers from a list."""
        from langchain_core.language_models import BaseChatModel
        from langchain_core.outputs import ChatGeneration, ChatResult

        streams: list[list[Any]] = []
        messages: list[Any] = []

        class Ready(BaseChatModel):
            @property
            def _llm_type(self) -> str:
                return "ready"

            def _generate(self, *_: Any, **__: Any) -> ChatResult:
                return ChatResult(generations=[ChatGeneration(message=messages.pop())])

            async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
                return ChatResult(generations=[ChatGeneration(message=messages.pop())])

            def _stream(self, *_: Any, **__: Any) -> Iterator[Any]:
                yield from streams.pop()

            async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
                for chunk in streams.pop():
                    yield chunk

        self.model, self.streams, self._messages = Ready(), streams, messages

    def prepare(self, answer: Answer, times: int) -> None:
        """Build the chunks anew, since the base class writes into them."""
        self.streams.extend(_chunks(answer) for _ in range(times))
        self._messages.extend(_message(answer) for _ in range(times))


def _chunks(answer: Answer) -> list[Any]:
    """Build the chunks of a stream, one an event."""
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.tool import tool_call_chunk
    from langchain_core.outputs import ChatGenerationChunk

    opening = [tool_call_chunk(name=TOOL_NAME, args="", id=CALL_ID, index=0)]
    calls = [opening, *([tool_call_chunk(args=piece, index=0)] for piece in answer.arguments)]
    messages = [
        *(
            AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece})
            for piece in answer.reasoning
        ),
        *(AIMessageChunk(content=piece) for piece in answer.text),
        *(AIMessageChunk(content="", tool_call_chunks=call) for call in calls if answer.arguments),
        AIMessageChunk(
            content="",
            usage_metadata=_usage(answer),
            response_metadata=_metadata(),
            chunk_position="last",
        ),
    ]
    return [ChatGenerationChunk(message=message) for message in messages]


def _message(answer: Answer) -> Any:
    from langchain_core.messages import AIMessage

    reasoning, text, _ = answer.joined
    return AIMessage(
        content=text,
        additional_kwargs={"reasoning_content": reasoning},
        usage_metadata=_usage(answer),
        response_metadata=_metadata(),
    )


def _usage(answer: Answer) -> Any:
    return {
        "input_tokens": 12,
        "output_tokens": answer.events,
        "total_tokens": 12 + answer.events,
        "input_token_details": {"cache_read": 0},
        "output_token_details": {"reasoning": len(answer.reasoning)},
    }


def _metadata() -> dict[str, Any]:
    return {"model_name": MODEL, "finish_reason": "stop", "request_id": REQUEST_ID}


def _wire(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": _text(content)} for role, content in messages]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(block["text"] for block in content)


def _read_native(part: Any) -> Said:
    return _read_wire_message(part["output"]["choices"][0]["message"])


def _read_wire_message(message: Mapping[str, Any]) -> Said:
    calls = message.get("tool_calls") or ()
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    return message.get("reasoning_content") or "", message.get("content") or "", arguments


# The baselines are measured right after this package, since the speed of a machine changes.
CONTENDERS: dict[str, type[Contender]] = {
    "this package": Ours,
    "LangChain baseline": Core,
    "httpx baseline": Wire,
    "this package by default": OursByDefault,
    "langchain-deepseek": DeepSeek,
    "langchain-qwq": Qwen,
    "ChatTongyi": Tongyi,
    "langchain-openai": OpenAI,
    "dashscope 1.x": Sdk1,
    "dashscope 2.x": Sdk2,
}
