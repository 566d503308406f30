"""`ChatDashScopeDeepSeek`, with the methods that LangChain calls.

Its settings are fields of `ModelSettings`. `_dashscope.protocol.request` builds the request,
`_dashscope.protocol.reading` reads the answer, and `_langchain.answer` converts it to messages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.block_translators import register_translator
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict
from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.protocol.parameters import (
    PARAMETERS,
    check_overrides,
    override,
    read_overrides,
)
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.protocol.tool_use import check_tool_use
from langchain_dashscope_deepseek._dashscope.transport import connections
from langchain_dashscope_deepseek._dashscope.transport.pool import loop_pool, process_pool
from langchain_dashscope_deepseek._langchain import tokens
from langchain_dashscope_deepseek._langchain.call import aask, ask, prepare_call
from langchain_dashscope_deepseek._langchain.emitters import (
    ChunkEmitter,
    EventEmitter,
    MessageEmitter,
)
from langchain_dashscope_deepseek._langchain.history import countable
from langchain_dashscope_deepseek._langchain.messages import PROVIDER
from langchain_dashscope_deepseek._langchain.metadata import chat_result, combined, content_blocks
from langchain_dashscope_deepseek._langchain.tools import AnyTool, wire_tool_choice, wire_tools
from langchain_dashscope_deepseek._model_fields import field_name_by_alias
from langchain_dashscope_deepseek._model_settings import ModelSettings
from langchain_dashscope_deepseek.capabilities import UNKNOWN_MODEL

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

register_translator(PROVIDER, content_blocks, content_blocks)  # core converts our messages with it


class ChatDashScopeDeepSeek(ModelSettings):
    '''DeepSeek on Alibaba Cloud Model Studio (DashScope), over its native protocol.

    Setup:
        Install the package and set the key, which belongs to a region:

        ```bash
        pip install .  # in a checkout: it is not on PyPI yet
        export DASHSCOPE_API_KEY="sk-..."
        ```

    Key init args:
        model: The model's name, such as `"deepseek-v4.1-flash"`.
        enable_thinking: Switch thinking on or off, on models where it can be switched.
        temperature, top_p, max_tokens, stop, seed: As everywhere in LangChain.
        api_key, base_url, region, workspace_id: Which account, and where.
        timeout, max_retries: How long to wait, and how often to retry.

        Parameters that are left out are not sent, so the service's defaults apply. They can also be
        given for one call, `model.invoke(..., temperature=0)`, or bound,
        `model.bind(temperature=0)`. The account cannot (see `for_tenant`), nor can the settings of
        connections, such as `proxy`.

    Instantiate:
        ```python
        from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

        model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash")
        ```

    Invoke:
        ```python
        message = model.invoke("Why is the sky blue?")
        print(message.text)
        ```

    Stream:
        ```python
        for chunk in model.stream("Why is the sky blue?"):
            print(chunk.text, end="")
        ```

    Async:
        ```python
        message = await model.ainvoke("Why is the sky blue?")
        ```

    Tool calling:
        On models whose row in the capability table has tools. By default an answer has at most one
        call; `parallel_tool_calls=True` allows more.

        ```python
        def get_weather(city: str) -> str:
            """Get the weather of a city."""
            return f"It is sunny in {city}."

        message = model.bind_tools([get_weather]).invoke("Use get_weather for Paris.")
        print(message.tool_calls)
        ```

    Structured output:
        ```python
        from pydantic import BaseModel

        class Colour(BaseModel):
            """A colour."""

            name: str
            is_warm: bool

        print(model.with_structured_output(Colour).invoke("Tell me about a colour."))
        ```

    JSON mode:
        On models whose row in the capability table has JSON mode; thinking is off for the call, and
        you must not have switched it on. A message must contain the word "json".

        ```python
        json_model = model.bind(response_format={"type": "json_object"})
        print(json_model.invoke("Name three colours as JSON, under the key 'colours'.").text)
        ```

    Reasoning:
        ```python
        message = model.invoke("Why is the sky blue?", enable_thinking=True)
        print(message.additional_kwargs["reasoning_content"])
        print(message.content_blocks[0])  # {"type": "reasoning", "reasoning": "..."}
        ```

        Chunks of a stream have the reasoning in the same places.

    Token usage:
        ```python
        print(message.usage_metadata)
        # {"input_tokens": 12, "output_tokens": 340, "total_tokens": 352,
        #  "input_token_details": {"cache_read": 0},
        #  "output_token_details": {"reasoning": 280}}
        ```

    Response metadata:
        ```python
        print(message.response_metadata)
        # {"model_name": "deepseek-v4.1-flash", "model_provider": "dashscope_deepseek",
        #  "finish_reason": "stop", "normalized_finish_reason": "stop",
        #  "finish_state": "complete", "request_id": "...", "token_usage": {...}}
        ```

    Errors:
        Errors of calls are subclasses of `DashScopeError` and of LangChain's class for the
        condition, and have `code`, `status_code` and `request_id`. Wrong settings raise pydantic's
        `ValidationError` when the model is made or changed. A feature that the model lacks, by the
        capability table, raises `DashScopeUnsupportedError` before a request is sent. Settings that
        the model ignores are left out with a `DashScopeWarning`, and so are images that it does not
        read, in all messages but the newest human one.
    '''

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=False)

    # --- Methods that LangChain calls for names, traces and caches ---

    @property
    def model_name(self) -> str:
        """The same as `model`, under the name that other chat models use."""
        return self.model

    @property
    def _llm_type(self) -> str:
        return "chat-dashscope-deepseek"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The settings that affect answers, for traces; without the key."""
        settings = vars(self)
        given = {name: settings.get(name) for name in (*PARAMETERS, "model_kwargs")}
        set_here = {name: value for name, value in given.items() if value not in (None, {})}
        return {"model": self.model, "base_url": self.base_url, **set_here}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        own_stop: Any = [self.stop] if isinstance(self.stop, str) else self.stop
        params = super()._get_ls_params(stop=stop or own_stop, **kwargs)
        params["ls_provider"] = PROVIDER
        limit = kwargs.get("max_completion_tokens", self.max_completion_tokens)
        if isinstance(limit, int):
            params.setdefault("ls_max_tokens", limit)
        return params

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Refuse wrong overrides here, since core then passes them to the tracers."""
        check_overrides(read_overrides(kwargs), field_name_by_alias(type(self)))
        return super()._get_invocation_params(stop=stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Describe the model for caches."""
        vars(self).pop("_serialized", None)  # core caches it, but lists in settings can change
        return super()._get_llm_string(stop=stop, **kwargs)

    # --- Generate and stream ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        request = self._prepared(messages, stop, kwargs, chunks=False)
        (message,) = ask(self._acquire, request, MessageEmitter)
        return chat_result(message)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        request = self._prepared(messages, stop, kwargs, chunks=False)
        (message,) = [m async for m in aask(self._aacquire, request, MessageEmitter)]
        return chat_result(message)

    def _combine_llm_outputs(self, outputs: Sequence[Any], /) -> dict[str, Any]:
        return combined(outputs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._prepared(messages, stop, kwargs, chunks=True)
        return ask(self._acquire, request, ChunkEmitter)

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._prepared(messages, stop, kwargs, chunks=True)
        return aask(self._aacquire, request, ChunkEmitter)

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        """Stream core's v3 events; core looks for a method of this name."""
        request = self._prepared(messages, stop, kwargs, chunks=True)
        return ask(self._acquire, request, partial(EventEmitter, run_manager=run_manager))

    def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        """Stream core's v3 events; core looks for a method of this name."""
        request = self._prepared(messages, stop, kwargs, chunks=True)
        return aask(self._aacquire, request, partial(EventEmitter, run_manager=run_manager))

    def _prepared(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        overrides: dict[str, Any],
        *,
        chunks: bool,
    ) -> PreparedRequest:
        given = overrides if stop is None else {**overrides, "stop": stop}
        return prepare_call(messages, self._settings_of_calls(), given, self._row_of, chunks=chunks)

    def _settings_of_calls(self) -> dict[str, Any]:
        settings = {"tools": None, "tool_choice": None, **vars(self), **self._location._asdict()}
        del settings["capabilities"]  # `_row_of` reads them, if the call is for the same model
        return settings

    # --- Tools ---

    def bind_tools(
        self,
        tools: Sequence[AnyTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to the model.

        Args:
            tools: Functions, pydantic classes, TypedDicts, `BaseTool`s, or dicts as OpenAI,
                Anthropic or Bedrock take them.
            tool_choice: `"auto"`, `"none"`, `"any"` or `"required"` (or `True`: some tool must be
                called), a tool's name, or OpenAI's dict with that name. A forced choice disables
                thinking for the call, if it can be switched and you did not enable it explicitly.
                If the model thinks nevertheless, or the service refuses `"required"` with several
                tools, `"auto"` is sent instead, with a `DashScopeWarning`.
            strict: Sent with each tool, if given.
            parallel_tool_calls: Whether one answer may call several tools. Default: as set for
                the model.
            kwargs: Further parameters to bind.

        Returns:
            The model with its tools.

        Raises:
            DashScopeInputError: A tool is a built-in tool of another provider, or a parameter has
                a wrong value.
            DashScopeUnsupportedError: The capability table says that the model does not call
                functions, or not while it thinks. If the model is not in the table, or `model` or
                `enable_thinking` are overridden later, the call raises it instead.
        """
        options = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, **kwargs}
        given = {name: value for name, value in options.items() if value is not None}
        if "tool_choice" in given:
            given["tool_choice"] = wire_tool_choice(given["tool_choice"])
        asked = override(self._settings_of_calls(), read_overrides(given))
        row = self._row_of(asked)
        if tools and row is not None:
            check_tool_use(asked["model"], row, thinking=row.thinks(asked["enable_thinking"]))
        return self.bind(tools=wire_tools(tools, strict=strict), **given)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["function_calling", "json_mode", "json_schema"] | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[AnyTool] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer in the form of a schema.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON schema with a title.
            method: `"function_calling"`, the default; `"json_mode"`, for which a message must
                describe the JSON, the default for models with JSON mode and no tools; or
                `"json_schema"`. If the capability table says that the model lacks JSON schemas,
                function calling is used instead, and if the table does not say, the schema is sent;
                both with a `DashScopeWarning`.
            include_raw: Return `{"raw": message, "parsed": ..., "parsing_error": ...}` and raise
                no parsing error.
            strict: Sent with the schema, if given.
            tools: Tools that the model may call instead of answering; with `include_raw=True` their
                calls are in `raw`.
            kwargs: Further parameters to bind.

        Returns:
            A runnable that returns an instance of the pydantic class, or a dict.

            The runnable returns `None`, with a `DashScopeWarning`, if the model did not call the
            function of the schema, which can happen while it thinks; if it called one of `tools`
            instead, without a warning. The runnable raises `OutputParserException` if the call or
            the JSON is truncated. If the arguments do not fit the pydantic class, it raises the
            error of that class, or with the two JSON methods `OutputParserException`. With a schema
            that is not a pydantic class, `invoke` returns `None` for a truncated call, too, because
            LangChain's `LLMToolSelectorMiddleware` asks again after `None`.

        Raises:
            DashScopeInputError: A tool is a built-in tool of another provider.
            DashScopeUnsupportedError: The method needs function calling, which the model lacks.
            ValueError: There is no such method.
        """
        # Imported here, since its parsers would lengthen the import of this package by a tenth.
        from langchain_dashscope_deepseek._langchain.structured import structured_output  # noqa: PLC0415

        row = self._row_of({"model": self.model, **kwargs}) or UNKNOWN_MODEL
        only_json = row.tools == "never" and row.json_object
        return structured_output(
            self,
            row,
            schema,
            method=method or ("json_mode" if only_json else "function_calling"),
            include_raw=include_raw,
            strict=strict,
            tools=tools or (),
            **kwargs,
        )

    # --- Counting tokens ---

    def get_token_ids(self, text: str) -> list[int]:
        """Return the ids of a text's tokens, offline.

        Raises:
            ImportError: The extra `langchain-dashscope-deepseek[tokenizer]` is not installed.
        """
        return (self.custom_get_token_ids or tokens.token_ids)(text)

    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text, offline.

        The count is exact with the extra `langchain-dashscope-deepseek[tokenizer]`. Without it, it
        is an estimate, mostly within 15 % of that.
        """
        return tokens.count_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[AnyTool] | None = None
    ) -> int:
        """Count the tokens of messages, and of tools if given, offline.

        It counts the text, the tool calls, the reasoning of turns with tool calls, 384 tokens for
        an image (the maximum) and a few for the role and the delimiters of each message.
        """
        schemas = [json.dumps(tool, ensure_ascii=False) for tool in wire_tools(tools or ())]
        pieces = [*countable(messages), *((schema, 0) for schema in schemas)]
        return sum(tokens.count_message(text, images) for text, images in pieces)

    # --- Connections ---

    def close(self) -> None:
        """Close the synchronous connections whose last request came from this object.

        Requests that are still waiting or reading fail, and are retried like other failed requests;
        later calls open new connections. The connections of other objects, such as copies of this
        one, stay open. Without `close`, a connection that has been idle for too long is closed when
        a call of any model ends.
        """
        process_pool().close(self)

    def __enter__(self) -> Self:
        """Begin a block that calls `close` at its end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin a block that calls `aclose` at its end."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Do the same as `close`, also for the connections of the running event loop."""
        self.close()
        loop_pool().close(self)
        await asyncio.sleep(0)  # lets the loop close the sockets

    def _acquire(
        self, seconds: float | None, key: connections.ConnectionKey
    ) -> AbstractContextManager[connections.Connection[httpx.Client]]:
        if self.http_client is not None:
            return connections.UserConnection(self.http_client)
        return process_pool().acquire(seconds, key, self)

    def _aacquire(
        self, seconds: float | None, key: connections.ConnectionKey
    ) -> AbstractAsyncContextManager[connections.Connection[httpx.AsyncClient]]:
        if self.http_async_client is not None:
            return connections.UserConnection(self.http_async_client)
        return loop_pool().acquire(seconds, key, self)


ChatDashScopeDeepSeek.__doc__ = f"{ChatDashScopeDeepSeek.__doc__}\n    Args:\n" + "".join(
    f"        {name}: {' '.join(field.description.split())}\n"
    for name, field in ChatDashScopeDeepSeek.model_fields.items()
    if field.description
)
