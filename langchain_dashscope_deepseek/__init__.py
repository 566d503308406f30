"""DeepSeek on Alibaba Cloud Model Studio (DashScope) as a LangChain chat model."""

import langchain_core.language_models.chat_models  # noqa: F401 - importing it first makes the import a tenth faster

from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import (
    MODELS,
    ModelCapabilities,
    ParameterDefaults,
    find_capabilities,
)
from langchain_dashscope_deepseek.chat_models import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.errors import (
    DashScopeAnswerTooLargeError,
    DashScopeAuthenticationError,
    DashScopeConnectionError,
    DashScopeContextOverflowError,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInputError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRateLimitError,
    DashScopeRouteError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
    DashScopeUnsupportedError,
    DashScopeWarning,
    DataInspectionFailed,
)
from langchain_dashscope_deepseek.rate_limiter import TokenRateLimiter

__all__ = [
    "MODELS",
    "ChatDashScopeDeepSeek",
    "DashScopeAnswerTooLargeError",
    "DashScopeAuthenticationError",
    "DashScopeConnectionError",
    "DashScopeContextOverflowError",
    "DashScopeDeadlineError",
    "DashScopeError",
    "DashScopeInputError",
    "DashScopeInvalidRequestError",
    "DashScopeNotFoundError",
    "DashScopePermissionDeniedError",
    "DashScopeQuotaExceededError",
    "DashScopeRateLimitError",
    "DashScopeRouteError",
    "DashScopeServerError",
    "DashScopeStreamCutError",
    "DashScopeTimeoutError",
    "DashScopeUnsupportedError",
    "DashScopeWarning",
    "DataInspectionFailed",
    "ModelCapabilities",
    "ParameterDefaults",
    "TokenRateLimiter",
    "__version__",
    "find_capabilities",
]
