"""`LLMResult.llm_output` says what an answer cost, for counters that read it there."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from tests.unit_tests.conftest import Ask, Scripted, answer_of, transcript


@pytest.fixture(params=["generate", "agenerate"])
def generate(request: pytest.FixtureRequest) -> Any:
    async def run(model: ChatDashScopeDeepSeek, /, *texts: str, **kwargs: Any) -> LLMResult:
        prompts: list[list[BaseMessage]] = [[HumanMessage(text)] for text in texts]
        if request.param == "generate":
            return model.generate(prompts, **kwargs)
        return await model.agenerate(prompts, **kwargs)

    return run


def counts(answers: int) -> dict[str, int]:
    return {
        "prompt_tokens": 5 * answers,
        "completion_tokens": 2 * answers,
        "total_tokens": 7 * answers,
    }


@pytest.mark.parametrize("prompts", [1, 2, 3])
async def test_the_output_adds_up_all_prompts(
    prompts: int, generate: Any, service: Scripted
) -> None:
    service.answer(answer_of())
    result = await generate(service.model(streaming=False), *["hi"] * prompts)
    assert result.llm_output == {"token_usage": counts(prompts), "model_name": "deepseek-v4-pro"}


async def test_the_output_adds_up_reasoning_and_cached_tokens(
    generate: Any, service: Scripted
) -> None:
    details = {
        "output_tokens_details": {"reasoning_tokens": 1},
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    answer = answer_of()
    service.answer({**answer, "usage": {**answer["usage"], **details}})
    service.answer(answer)
    result = await generate(service.model(streaming=False), "hi", "ho")
    assert result.llm_output["token_usage"] == {
        **counts(2),
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


async def test_the_output_names_the_model_of_the_call(generate: Any, service: Scripted) -> None:
    service.answer(answer_of())
    result = await generate(service.model(), "hi", model="deepseek-v4-flash")
    assert result.llm_output["model_name"] == "deepseek-v4-flash"


async def test_an_answer_from_a_cache_costs_nothing(generate: Any, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model(cache=InMemoryCache())
    await generate(model, "hi")
    assert (await generate(model, "hi")).llm_output == {"token_usage": {}}
    assert (await generate(model, "hi", "ho")).llm_output["token_usage"] == counts(1)


async def test_an_answer_without_counts_has_none(generate: Any, service: Scripted) -> None:
    service.answer({**answer_of(), "usage": {}})
    result = await generate(service.model(), "hi")
    assert result.llm_output == {"token_usage": {}, "model_name": "deepseek-v4-pro"}


async def test_callbacks_see_the_output_of_each_prompt(generate: Any, service: Scripted) -> None:
    class Costs(BaseCallbackHandler):
        seen: list[Any]

        def on_llm_end(self, response: LLMResult, **_: Any) -> None:
            self.seen.append(response.llm_output)

    costs = Costs()
    costs.seen = []
    service.answer(answer_of())
    await generate(service.model(), "hi", "ho", callbacks=[costs])
    assert [output["token_usage"] for output in costs.seen] == [counts(1), counts(1)]


async def test_every_message_has_the_counts_that_core_copies_into_some(
    ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text"))
    message = await ask(service.model(), "hi")
    assert message.response_metadata["token_usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
    }
