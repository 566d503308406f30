"""The service if DASHSCOPE_API_KEY is set, else an emulator each for the chat and for the agent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_dashscope_deepseek.testing import DashScopeEmulator

TIMES = 1000
REASONING = "Air is clear, so why is it blue? Sunlight is a mix of colours, and air scatters some."
ANSWER = """Because air scatters **blue light** more than red light:

1. Sunlight contains all colours.
2. Air scatters short waves most, which is called *Rayleigh scattering*:
   - violet and blue a lot.

```python
red, blue = 700, 450  # wavelengths in nanometres
print((red / blue) ** 4)  # 5.86: blue is scattered almost six times as much
```

*The emulator gives this answer to every question.*"""


def script_chat(emulator: DashScopeEmulator) -> None:
    """Answer every question in the same way, slowly, so that there is time to stop."""
    emulator.reply(ANSWER, reasoning=REASONING, piece_delay=0.05, times=TIMES)


def script_agent(emulator: DashScopeEmulator) -> None:
    """Look up an order, ask to refund it, and answer: the same steps for every question."""
    find = {"name": "find_order", "arguments": {"number": 7}}
    details = {"number": 7, "amount": 39.0, "reason": "The kettle arrived broken."}
    refund = {"name": "refund_order", "arguments": details}
    for _ in range(TIMES):
        emulator.reply(
            reasoning="I need the details of the order first.", tool_calls=[find], piece_delay=0.05
        )
        emulator.reply(
            "The kettle of order 7 arrived broken, so a refund of **39.00 EUR** is due.",
            reasoning="It was reported broken, so the customer gets the money back.",
            tool_calls=[refund],
            piece_delay=0.05,
        )
        emulator.reply(
            "Order 7 is settled as you decided.\n\n"
            "*The emulator takes these steps for every question.*",
            reasoning="The result tells whether the refund was approved.",
            piece_delay=0.05,
        )


@contextmanager
def find_service() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the settings of the chat's model, and those of the agent's."""
    if os.environ.get("DASHSCOPE_API_KEY"):
        yield {}, {}
        return
    print("DASHSCOPE_API_KEY is not set, so the bundled emulator answers.")
    with DashScopeEmulator() as chat, DashScopeEmulator() as agent:
        script_chat(chat)
        script_agent(agent)
        chat_settings, agent_settings = (
            {"api_key": emulator.api_key, "base_url": emulator.base_url}
            for emulator in (chat, agent)
        )
        yield chat_settings, agent_settings
