"""An emulator of DashScope's service for DeepSeek models, for tests and for trying things out.

It shares only the capability table with the client, so that a mistake in the client's rules is not
repeated here.
"""

from langchain_dashscope_deepseek.testing._server import RecordedRequest
from langchain_dashscope_deepseek.testing.emulator import DashScopeEmulator

__all__ = ["DashScopeEmulator", "RecordedRequest"]
