"""Make every public call in an event loop, each the first of its process, and print what blocks."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any

from blockbuster import BlockBusterFunction, BlockingError, blockbuster_ctx
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage, trim_messages
from pydantic import BaseModel

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

CERTIFICATES = "ssl.SSLContext.load_verify_locations"
CHINESE = "今天天气很好，我们去公园散步吧。"


class Weather(BaseModel):
    """The weather of a city."""

    degrees: int = 0


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


async def read_events(model: ChatDashScopeDeepSeek) -> None:
    await read(await model.astream_events("hi", version="v3"))


async def use_and_close(model: ChatDashScopeDeepSeek) -> None:
    async with model:
        await model.ainvoke("hi")


def parsed(model: ChatDashScopeDeepSeek, method: Any) -> Any:
    return model.with_structured_output(Weather, method=method, include_raw=True)


CALLS: dict[str, Callable[[ChatDashScopeDeepSeek], Any]] = {
    "a control": lambda _: Path(__file__).read_text(encoding="utf-8"),
    "ChatDashScopeDeepSeek": lambda _: ChatDashScopeDeepSeek(model="deepseek-v4-pro"),
    "get_num_tokens": lambda model: model.get_num_tokens(CHINESE),
    "get_num_tokens_from_messages": lambda model: model.get_num_tokens_from_messages(
        [HumanMessage(CHINESE)], tools=[Weather]
    ),
    "trim_messages": lambda model: trim_messages(
        [HumanMessage(CHINESE)], max_tokens=50, token_counter=model
    ),
    "ainvoke": lambda model: model.ainvoke("hi"),
    "astream": lambda model: read(model.astream("hi")),
    "astream_events": read_events,
    "abatch": lambda model: model.abatch(["hi", CHINESE]),
    "agenerate": lambda model: model.agenerate([[HumanMessage("hi")]]),
    "bind_tools": lambda model: model.bind_tools([Weather]).ainvoke("hi"),
    "with_structured_output": lambda model: parsed(model, "function_calling").ainvoke("hi"),
    "json_mode": lambda model: parsed(model, "json_mode").ainvoke("Answer in JSON."),
    "for_tenant": lambda model: model.for_tenant(api_key="sk-other").ainvoke("hi"),
    "model_copy": lambda model: model.model_copy(update={"temperature": 0}),
    "dumps": dumps,
    "pickle": pickle.dumps,
    "async with": use_and_close,
    "close": lambda model: model.close(),
    "aclose": lambda model: model.aclose(),
}


async def blocking(name: str, model: ChatDashScopeDeepSeek) -> bool:
    with blockbuster_ctx() as found:
        found.functions[CERTIFICATES] = BlockBusterFunction(None, CERTIFICATES).activate()
        try:
            result = CALLS[name](model)
            if isawaitable(result):
                await result
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, BlockingError):
                cause = cause.__cause__ or cause.__context__
            if cause is None:
                raise
            return True
    return False


async def main(model: ChatDashScopeDeepSeek) -> None:
    print(*[name for name in CALLS if await blocking(name, model)], sep=", ")


if __name__ == "__main__":
    with DashScopeEmulator() as emulator:
        settings: Any = {"api_key": emulator.api_key, "base_url": emulator.base_url}
        asyncio.run(main(ChatDashScopeDeepSeek(model="deepseek-v4-pro", **settings)))
