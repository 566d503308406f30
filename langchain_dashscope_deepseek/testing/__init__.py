"""DashScope's service for DeepSeek models, emulated for tests and for trying out.

It shares the capability table with the client and nothing else, so that the two cannot agree
on a mistake.
"""

from langchain_dashscope_deepseek.testing._server import RecordedRequest
from langchain_dashscope_deepseek.testing.emulator import DashScopeEmulator

__all__ = ["DashScopeEmulator", "RecordedRequest"]
