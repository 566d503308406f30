"""Middleware for LangChain's agents. Importing this module needs `langchain`.

No other module of the package imports it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.structured_output import (
    AutoStrategy,
    OutputToolBinding,
    ProviderStrategy,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool


class ThinkingStructuredOutputMiddleware(AgentMiddleware[Any, Any, Any]):
    """Let an agent with a `response_format` think.

    `create_agent` forces a tool call on every step of an agent with a `response_format`. By its
    error texts the service takes no forced call while a model thinks, so such an agent does not
    think on any step.

    With this middleware the schema is offered as a tool beside the others, and the model thinks as
    it is set to. If it answers without calling that tool, or with arguments that do not fit the
    schema, it is asked once more: with that tool alone, which is then forced, and without thinking.
    An explicit `ProviderStrategy` is left as it is.

    Example:
        ```python
        from langchain.agents import create_agent

        from langchain_dashscope_deepseek.middleware import ThinkingStructuredOutputMiddleware

        agent = create_agent(
            model,
            tools=[get_weather],
            response_format=Forecast,
            middleware=[ThinkingStructuredOutputMiddleware()],
        )
        ```
    """

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Offer the schema, and force it in a second request if the first brings no answer in it.

        Args:
            request: The step of the agent.
            handler: Sends a request to the model.

        Returns:
            The messages of both requests, and the structured response if there is one.
        """
        strategy = _strategy(request.response_format)
        if strategy is None:
            return handler(request)
        first = _parsed(strategy, handler(_offering(request, strategy)))
        if _is_settled(first):
            return first
        again = _forcing(request, strategy, first)
        return _joined(request, again, handler(again))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Do the same as `wrap_model_call`, for asynchronous agents.

        Args:
            request: The step of the agent.
            handler: Sends a request to the model.

        Returns:
            The messages of both requests, and the structured response if there is one.
        """
        strategy = _strategy(request.response_format)
        if strategy is None:
            return await handler(request)
        first = _parsed(strategy, await handler(_offering(request, strategy)))
        if _is_settled(first):
            return first
        again = _forcing(request, strategy, first)
        return _joined(request, again, await handler(again))


def _strategy(response_format: Any) -> ToolStrategy[Any] | None:
    """Return the strategy of a schema that goes out as a tool; None for any other."""
    if response_format is None or isinstance(response_format, ProviderStrategy):
        return None
    if isinstance(response_format, ToolStrategy):
        return response_format
    is_auto = isinstance(response_format, AutoStrategy)
    return ToolStrategy(response_format.schema if is_auto else response_format)


def _bindings(strategy: ToolStrategy[Any]) -> Mapping[str, OutputToolBinding[Any]]:
    return {spec.name: OutputToolBinding.from_schema_spec(spec) for spec in strategy.schema_specs}


def _offering(request: ModelRequest[Any], strategy: ToolStrategy[Any]) -> ModelRequest[Any]:
    """Return a request that offers the schema's tools and forces none."""
    offered = [convert_to_openai_tool(each.tool) for each in _bindings(strategy).values()]
    return request.override(response_format=None, tools=[*request.tools, *offered])


def _parsed(strategy: ToolStrategy[Any], response: ModelResponse[Any]) -> ModelResponse[Any]:
    """Parse the calls of the schema's tools and answer each, as `create_agent` does."""
    bindings, found = _bindings(strategy), None
    answers = []
    for call in _calls(response):
        if (name := call["name"]) not in bindings:
            continue
        answer = ToolMessage("", tool_call_id=call["id"], name=name)
        try:
            found = bindings[name].parse(call["args"])
        except ValueError as error:
            answer.content = f"{error} Call {name} again, with arguments that fit."
            answer.status = "error"  # else `create_agent` takes the run for finished
        else:
            said = strategy.tool_message_content
            answer.content = said or f"Returning structured response: {found}"
        answers.append(answer)
    return ModelResponse(result=[*response.result, *answers], structured_response=found)


def _calls(response: ModelResponse[Any]) -> list[ToolCall]:
    return [c for m in response.result if isinstance(m, AIMessage) for c in m.tool_calls]


def _is_settled(response: ModelResponse[Any]) -> bool:
    """Tell whether there is a structured response, or a call of a tool of the agent to run."""
    answered = {m.tool_call_id for m in response.result if isinstance(m, ToolMessage)}
    has_work = any(call["id"] not in answered for call in _calls(response))
    return has_work or response.structured_response is not None


def _forcing(
    request: ModelRequest[Any], strategy: ToolStrategy[Any], first: ModelResponse[Any]
) -> ModelRequest[Any]:
    """Return a request with the schema's tools alone, one of which `create_agent` forces."""
    messages: list[Any] = [*request.messages, *first.result]
    if not isinstance(messages[-1], ToolMessage):
        names = " or ".join(spec.name for spec in strategy.schema_specs)
        messages.append(HumanMessage(f"Now give the answer by calling {names}."))
    settings = request.model_settings
    if {**vars(request.model), **settings}.get("enable_thinking"):
        settings = {**settings, "enable_thinking": False}
    return request.override(tools=[], messages=messages, model_settings=settings)


def _joined(
    request: ModelRequest[Any], again: ModelRequest[Any], second: ModelResponse[Any]
) -> ModelResponse[Any]:
    """Return all messages that are new since the step began."""
    new = again.messages[len(request.messages) :]
    return replace(second, result=[*new, *second.result])
