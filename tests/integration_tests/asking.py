"""Asks with little memory, and tells what came and took most: a process of `test_memory.py`'s.

python asking.py invoke|ainvoke MAX_ANSWER_SIZE BASE_URL...
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from langchain_core.messages import BaseMessage

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from langchain_dashscope_deepseek.testing import DashScopeEmulator


def size_of(name: str) -> int:
    """Read a size of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


async def answer_of(model: ChatDashScopeDeepSeek) -> BaseMessage:
    """Ask in an event loop."""
    async with model:
        return await model.ainvoke("hi")


def ask(style: str, model: ChatDashScopeDeepSeek) -> str:
    """Ask, and give the name of what came."""
    try:
        answer = asyncio.run(answer_of(model)) if style == "ainvoke" else model.invoke("hi")
    except (DashScopeError, MemoryError) as error:
        return type(error).__name__
    return type(answer).__name__


def main(style: str, size: int, base_urls: Sequence[str]) -> None:
    """Ask an emulator first, so that all is loaded; then ask each, and measure."""
    with DashScopeEmulator() as emulator:
        ask(style, ChatDashScopeDeepSeek(model="deepseek-v4-pro", base_url=emulator.base_url))
    for base_url in base_urls:
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", base_url=base_url, max_retries=0, max_answer_size=size
        )
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = size_of("VmRSS")
        allowed = size_of("VmSize") + 4 * size + 32 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (allowed, resource.RLIM_INFINITY))
        outcome = ask(style, model)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(outcome, size_of("VmHWM") - before, flush=True)
        model.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
