"""`python -m langchain_dashscope_deepseek.testing`: serve until stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from langchain_dashscope_deepseek.testing.emulator import DashScopeEmulator


def main() -> int:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m langchain_dashscope_deepseek.testing",
        description="Emulate DashScope's service for DeepSeek models.",
    )
    parser.add_argument("--port", type=int, default=0, help="the port; 0 selects a free one")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with DashScopeEmulator(port=arguments.port) as emulator:
        print(emulator.base_url)
        print(
            f"export DASHSCOPE_HTTP_BASE_URL={emulator.base_url} "
            f"DASHSCOPE_API_KEY={emulator.api_key}",
            flush=True,
        )
        while not stopped.wait(1):  # on Windows, Ctrl-C does not interrupt a wait without a timeout
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
