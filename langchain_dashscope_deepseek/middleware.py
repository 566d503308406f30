"""Middleware for LangChain's agents. Importing this module needs `langchain`.

No other module of the package imports it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.structured_output import (
    AutoStrategy,
    OutputToolBinding,
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool


class ThinkingStructuredOutputMiddleware(AgentMiddleware[Any, Any, Any]):
    """Let an agent with a `response_format` think.

    `create_agent` forces a tool call in every step of an agent with a `response_format`. The
    service does not accept forced calls while a model thinks (according to its error texts), so
    such an agent does not think or, if you enabled thinking, its calls are not forced.

    This middleware offers the schema as one more tool and forces no call, so the thinking settings
    of the model apply. If the model answers without a tool call, a second request switches thinking
    off and forces the call of the schema's tool, or of any tool if there are several schemas; a
    model that always thinks is only asked for the call. Arguments that do not fit the schema are
    returned to the model as an error, and the agent continues, unless `handle_errors` of a
    `ToolStrategy` is False; its other values count as True. Of several valid calls the last one
    counts. The middleware does not change requests with a `ProviderStrategy`.

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
        """Offer the schema, and force it in a second request if the first one has no call.

        Args:
            request: The step of the agent.
            handler: Sends a request to the model.

        Returns:
            The new messages, and the structured response if there is one.

        Raises:
            StructuredOutputValidationError: The arguments do not fit the schema, and
                `handle_errors` is False.
        """
        strategy = _strategy(request.response_format)
        if strategy is None:
            return handler(request)
        offering = _offering(request, strategy)
        first = handler(offering)
        if _calls(first):
            return _parsed(strategy, first)
        forcing = _forcing(offering, strategy, first)
        return _parsed(strategy, handler(forcing), forcing.messages[len(request.messages) :])

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Do the same as `wrap_model_call`, for asynchronous agents."""
        strategy = _strategy(request.response_format)
        if strategy is None:
            return await handler(request)
        offering = _offering(request, strategy)
        first = await handler(offering)
        if _calls(first):
            return _parsed(strategy, first)
        forcing = _forcing(offering, strategy, first)
        return _parsed(strategy, await handler(forcing), forcing.messages[len(request.messages) :])


def _strategy(response_format: Any) -> ToolStrategy[Any] | None:
    """Return the strategy if the schema is to be sent as a tool, else None."""
    if response_format is None or isinstance(response_format, ProviderStrategy):
        return None
    if isinstance(response_format, ToolStrategy):
        return response_format
    is_auto = isinstance(response_format, AutoStrategy)
    return ToolStrategy(response_format.schema if is_auto else response_format)


def _bindings(strategy: ToolStrategy[Any]) -> Mapping[str, OutputToolBinding[Any]]:
    return {spec.name: OutputToolBinding.from_schema_spec(spec) for spec in strategy.schema_specs}


def _calls(response: ModelResponse[Any]) -> list[tuple[AIMessage, Any]]:
    """Return the tool calls of a response, each with its message."""
    return [(m, call) for m in response.result if isinstance(m, AIMessage) for call in m.tool_calls]


def _offering(request: ModelRequest[Any], strategy: ToolStrategy[Any]) -> ModelRequest[Any]:
    """Return a request that offers the schema's tools and forces none."""
    offered = [convert_to_openai_tool(each.tool) for each in _bindings(strategy).values()]
    return request.override(response_format=None, tools=[*request.tools, *offered])


def _forcing(
    offering: ModelRequest[Any], strategy: ToolStrategy[Any], first: ModelResponse[Any]
) -> ModelRequest[Any]:
    """Return a request that forces a call of a schema; all tools stay, for the prompt cache."""
    names = [spec.name for spec in strategy.schema_specs]
    ask = HumanMessage(f"Now give the answer by calling {' or '.join(names)}.")
    settings = offering.model_settings
    if {**vars(offering.model), **settings}.get("enable_thinking"):
        settings = {**settings, "enable_thinking": False}
    return offering.override(
        messages=[*offering.messages, *first.result, ask],  # type: ignore[list-item]
        tool_choice=names[0] if len(names) == 1 else "any",
        model_settings=settings,
    )


def _parsed(
    strategy: ToolStrategy[Any], response: ModelResponse[Any], before: Sequence[AnyMessage] = ()
) -> ModelResponse[Any]:
    """Parse the calls of the schema's tools and answer each.

    `before` are the messages of the step that precede the response.
    """
    bindings, found = _bindings(strategy), None
    answers = []
    for message, call in _calls(response):
        if (name := call["name"]) not in bindings:
            continue
        answer = ToolMessage("", tool_call_id=call["id"], name=name)
        try:
            found = bindings[name].parse(call["args"])
        except ValueError as error:
            if strategy.handle_errors is False:
                raise StructuredOutputValidationError(name, error, message) from error
            answer.content = f"{error} Call {name} again, with arguments that fit."
            answer.status = "error"  # without it `create_agent` ends the run
        else:
            text = strategy.tool_message_content
            answer.content = text or f"Returning structured response: {found}"
        answers.append(answer)
    return ModelResponse(result=[*before, *response.result, *answers], structured_response=found)
