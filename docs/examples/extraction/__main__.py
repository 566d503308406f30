"""Extract orders from texts in a batch, and ask again if an answer does not fit."""

import argparse
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, Field, ValidationError

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

AT_ONCE = 4
TEXTS = [
    "Good morning, this is for Ada Lovelace: 3 pieces of Analytical Engine, with express delivery.",
    "We at Grace Hopper's office would like 12 more of your Nanosecond. Normal mail is fine.",
    "「王芳」订购「蓝色茶杯」 2 个，请用 express 快递。",
]


class Order(BaseModel):
    """An order for one product."""

    customer: str = Field(description="The name of the customer")
    product: str = Field(description="The product, as the text names it")
    quantity: int = Field(ge=1)
    delivery: Literal["normal", "express"]


def complaint_of(error: BaseException | None) -> str:
    """Describe an error to the model."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return str(error or "it called no function")


def extract(extractor: Runnable[Any, Any], texts: list[str]) -> list[Order | None]:
    """Extract an order from each text; if an answer does not fit, ask once more.

    Args:
        extractor: Returns `raw`, `parsed` and `parsing_error` of each answer.
        texts: The texts with an order each.

    Returns:
        An order for each text, or `None` if neither answer fits.
    """
    config = RunnableConfig(max_concurrency=AT_ONCE)
    results = extractor.batch(texts, config)
    failed = [i for i, result in enumerate(results) if result["parsed"] is None]
    for i in failed:
        print("Asking again:", complaint_of(results[i]["parsing_error"]))
    complaints = {i: complaint_of(results[i]["parsing_error"]) for i in failed}
    again = [f"{texts[i]}\n\n(an earlier answer did not fit, {complaints[i]})" for i in failed]
    for i, result in zip(failed, extractor.batch(again, config), strict=True):
        results[i] = result
        if result["parsed"] is None:
            print("Given up:", complaint_of(result["parsing_error"]))
    tokens = sum(result["raw"].usage_metadata["total_tokens"] for result in results)
    print(f"{len(texts)} texts, {len(failed)} asked for again, {tokens} tokens for what is kept")
    return [result["parsed"] for result in results]


def main() -> None:
    """Extract the orders of the command line, or of the texts above."""
    parser = argparse.ArgumentParser(prog="extraction", description=__doc__)
    parser.add_argument("text", nargs="*", default=TEXTS)
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    with (
        service(script) as settings,
        ChatDashScopeDeepSeek(model=arguments.model, **settings) as model,
    ):
        # With include_raw, an answer that does not fit does not raise, so the batch continues.
        extractor = model.with_structured_output(Order, include_raw=True)
        for text, order in zip(arguments.text, extract(extractor, arguments.text), strict=True):
            print(f"\n{text}\n  {order!r}")


def script(emulator: DashScopeEmulator) -> None:
    """Script one answer that does not fit; the emulator generates the others."""
    arguments = {"customer": "?", "product": "?", "quantity": "a few", "delivery": "express"}
    emulator.reply(tool_calls=[{"name": "Order", "arguments": arguments}])


if __name__ == "__main__":
    main()
