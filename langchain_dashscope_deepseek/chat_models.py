"""`ChatDashScopeDeepSeek`, with the methods that LangChain calls.

Its settings are fields of `ModelSettings`. `_dashscope.protocol.request` decides what is sent,
`_dashscope.protocol.reading` reads the answer, and `_langchain.stream` makes messages of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.block_translators import register_translator
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.utils import LC_ID_PREFIX
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
from langchain_dashscope_deepseek._dashscope.transport.connections import Connection, UserConnection
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Tenant
from langchain_dashscope_deepseek._dashscope.transport.pool import (
    loop_pool,
    process_pool,
)
from langchain_dashscope_deepseek._langchain.call import aask, ask, prepare_call
from langchain_dashscope_deepseek._langchain.emitters import (
    ChunkEmitter,
    EventEmitter,
    MessageEmitter,
)
from langchain_dashscope_deepseek._langchain.history import countable
from langchain_dashscope_deepseek._langchain.messages import PROVIDER
from langchain_dashscope_deepseek._langchain.metadata import chat_result, combined, content_blocks
from langchain_dashscope_deepseek._langchain.stream import AnswerAccumulator
from langchain_dashscope_deepseek._langchain.tokens import (
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
    count_tokens,
    token_ids,
)
from langchain_dashscope_deepseek._langchain.tools import AnyTool, wire_tool_choice, wire_tools
from langchain_dashscope_deepseek._model_fields import fields_by_name
from langchain_dashscope_deepseek._model_settings import ModelSettings

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

register_translator(PROVIDER, content_blocks, content_blocks)  # how core reads our messages


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
        timeout, max_retries: How long to wait, and how often to ask again.

        What is left out is not sent: the service decides. Each parameter can also be given for one
        call, `model.invoke(..., temperature=0)`, or bound, `model.bind(temperature=0)`.

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

        async for chunk in model.astream("Why is the sky blue?"):
            print(chunk.text, end="")
        ```

    Tool calling:
        On models whose row in the capability table has tools; the service's default is one call
        an answer.

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
        The v4 family only, not while it thinks, and a message must hold the word "json".

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

        Chunks of a stream carry it in the same places.

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
        All subclass `DashScopeError` and LangChain's class for the condition, and carry `code`,
        `status_code` and `request_id`. Features that the capability table says the model lacks
        raise `DashScopeUnsupportedError` before a request is sent; settings that a model ignores
        are left out with a `DashScopeWarning`.
    '''

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=False)

    # --- What LangChain asks ---

    @property
    def model_name(self) -> str:
        """The same as `model`, under the name that other chat models have for it."""
        return self.model

    @property
    def _llm_type(self) -> str:
        return "chat-dashscope-deepseek"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What makes answers differ, for traces; holds no key."""
        given = {name: vars(self).get(name) for name in (*PARAMETERS, "model_kwargs")}
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
        """Refuse what must not be recorded; core calls this before it tells the tracers."""
        check_overrides(read_overrides(kwargs), fields_by_name(type(self)))
        return super()._get_invocation_params(stop=stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Describe the model for caches."""
        vars(self).pop("_serialized", None)  # core keeps it, but lists in settings can grow
        return super()._get_llm_string(stop=stop, **kwargs)

    # --- Generate and stream: core's signatures are those of `_prepared` ---

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        request = self._prepared(*args, **kwargs, shows=False)
        (message,) = ask(self._acquire, request, MessageEmitter)
        return chat_result(message)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        request = self._prepared(*args, **kwargs, shows=False)
        (message,) = [m async for m in aask(self._aacquire, request, MessageEmitter)]
        return chat_result(message)

    def _combine_llm_outputs(
        self, llm_outputs: Sequence[dict[str, Any] | None], /
    ) -> dict[str, Any]:
        return combined(llm_outputs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        request = self._prepared(*args, **kwargs, shows=True)
        return ask(self._acquire, request, ChunkEmitter)

    def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        request = self._prepared(*args, **kwargs, shows=True)
        return aask(self._aacquire, request, ChunkEmitter)

    def _stream_chat_model_events(
        self, *args: Any, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[MessagesData]:
        """Stream core's v3 events; core looks for a method of this name."""
        request = self._prepared(*args, **kwargs, shows=True)
        return ask(self._acquire, request, _events_for(run_manager))

    def _astream_chat_model_events(
        self, *args: Any, run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> AsyncIterator[MessagesData]:
        """Stream core's v3 events; core looks for a method of this name."""
        request = self._prepared(*args, **kwargs, shows=True)
        return aask(self._aacquire, request, _events_for(run_manager))

    def _prepared(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None = None,
        run_manager: object = None,  # noqa: ARG002 - core emits the tokens itself
        *,
        shows: bool,
        **overrides: Any,
    ) -> PreparedRequest:
        given = overrides if stop is None else {**overrides, "stop": stop}
        return prepare_call(messages, self._settings_of_calls(), given, self._row_of, shows=shows)

    def _settings_of_calls(self) -> dict[str, Any]:
        settings = {**_NOT_GIVEN, **vars(self), **self._location._asdict()}
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
                called), a tool's name, or OpenAI's dict for it. A forced choice disables, for the
                call, thinking that you did not enable explicitly. Where thinking stays on, or the
                service refuses `"required"` among several tools, `"auto"` is sent instead, with a
                `DashScopeWarning`.
            strict: Sent with each tool, if given.
            parallel_tool_calls: Whether one answer may call several tools. Default: as set for
                the model.
            kwargs: Further parameters to bind.

        Returns:
            The model with its tools.

        Raises:
            DashScopeInputError: A tool is one that another provider runs, or a parameter has a
                wrong value.
            DashScopeUnsupportedError: The capability table says that the model does not call
                functions, or does not while it thinks. The call raises it for a model that the
                table does not know, and where `model` or `enable_thinking` are overridden later.
        """
        options = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, **kwargs}
        given = {name: value for name, value in options.items() if value is not None}
        if "tool_choice" in given:
            given["tool_choice"] = wire_tool_choice(given["tool_choice"])
        asked = override(self._settings_of_calls(), read_overrides(given))
        row = asked.get("capabilities") or self._row_of(asked["model"])
        if tools and row is not None:
            thinking = row.thinks(asked["enable_thinking"])
            check_tool_use(asked["model"], row, thinking=thinking)
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
            method: `"function_calling"`, the default where the model has tools; `"json_mode"`, for
                which a message must say what JSON is wanted; or `"json_schema"`. Function calling
                replaces the latter where the capability table says that the model lacks it, with a
                `DashScopeWarning`; where the table does not say, it is sent, with a warning too.
            include_raw: Return `{"raw": message, "parsed": ..., "parsing_error": ...}` and raise
                no parsing error.
            strict: Sent with the schema, if given.
            tools: Tools that the model may call instead; their calls are in `raw`.
            kwargs: Further parameters to bind.

        Returns:
            A runnable that returns an instance of the pydantic class, or a dict. It returns `None`,
            with a `DashScopeWarning`, if the model does not call the function of the schema: a call
            cannot be forced while thinking is enabled explicitly or cannot be disabled. It raises
            `OutputParserException` for a call or JSON that was cut, except that for a cut call
            `invoke` returns `None` if the schema is no class, since LangChain's middleware asks
            again then; and the pydantic class's error for arguments that do not fit it.

        Raises:
            DashScopeInputError: A tool is one that another provider runs.
            DashScopeUnsupportedError: The model does not call functions, and the method needs it.
            ValueError: There is no such method.
        """
        # Its parsers take a tenth of what importing this package adds to core.
        from langchain_dashscope_deepseek._langchain.structured import structured_output  # noqa: PLC0415

        row = kwargs.get("capabilities") or self._row_of(kwargs.get("model", self.model))
        only_json = row is not None and row.tools == "never" and row.json_object
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
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text, offline.

        The estimate is mostly within 15 % of DeepSeek's own tokenizer, and exact with the extra
        `langchain-dashscope-deepseek[tokenizer]`.
        """
        return count_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[AnyTool] | None = None
    ) -> int:
        """Count the tokens of messages, and of tools if given, offline.

        It counts what is sent: text, tool calls, 384 tokens for an image (the most that one takes)
        and a few for each message's frame.
        """
        schemas = [json.dumps(tool, ensure_ascii=False) for tool in wire_tools(tools or ())]
        pieces = [*countable(messages), *((schema, 0) for schema in schemas)]
        return sum(
            count_tokens(text) + TOKENS_PER_IMAGE * images + TOKENS_PER_MESSAGE
            for text, images in pieces
        )

    # --- Connections ---

    def close(self) -> None:
        """Close the connections for synchronous calls that this object used last.

        Its calls that are still reading raise an error; later calls open new connections. Those of
        other objects stay open, copies of this one included. Without `close`, an idle connection
        is closed when a call of any model ends at least 5 seconds later.
        """
        process_pool().close(self)

    def __enter__(self) -> Self:
        """Begin a block that closes the connections for synchronous calls at its end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin a block that closes the running loop's connections, and the synchronous ones."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close those connections, and the ones that it used last in the running event loop."""
        self.close()
        loop_pool().close(self)
        await asyncio.sleep(0)  # the loop closes the sockets meanwhile

    def _acquire(
        self, seconds: float | None, tenant: Tenant
    ) -> AbstractContextManager[Connection[httpx.Client]]:
        if self.http_client is not None:
            return UserConnection(self.http_client)
        return process_pool().acquire(seconds, tenant, self)

    def _aacquire(
        self, seconds: float | None, tenant: Tenant
    ) -> AbstractAsyncContextManager[Connection[httpx.AsyncClient]]:
        if self.http_async_client is not None:
            return UserConnection(self.http_async_client)
        return loop_pool().acquire(seconds, tenant, self)


_NOT_GIVEN = dict.fromkeys(PARAMETERS)


ChatDashScopeDeepSeek.__doc__ = f"{ChatDashScopeDeepSeek.__doc__}\n    Args:\n" + "".join(
    f"        {name}: {' '.join(field.description.split())}\n"
    for name, field in ChatDashScopeDeepSeek.model_fields.items()
    if field.description
)


def _events_for(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> Callable[[AnswerAccumulator], EventEmitter]:
    message_id = "" if run_manager is None else f"{LC_ID_PREFIX}-{run_manager.run_id}"
    return lambda answer: EventEmitter(answer, message_id)
