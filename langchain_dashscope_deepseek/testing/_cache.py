"""Emulates the prefix cache, for the cached tokens in the usage."""

from __future__ import annotations

import hashlib
import threading

from langchain_dashscope_deepseek.testing._checks import ValidRequest
from langchain_dashscope_deepseek.testing._render import IMAGE_TOKENS, compact, count_tokens, encode

_LEAST_TOKENS = 1_024  # since August 2026 the service does not cache shorter prefixes


class PrefixCache:
    """Remembers every prefix of every conversation, for each model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[bytes] = set()

    def count(self, request: ValidRequest) -> int:
        """Count the tokens of the longest known prefix, then remember all prefixes."""
        digest, cached, tokens = hashlib.sha256(request.model.encode()), 0, 0
        with self._lock:
            for message in request.messages:
                digest.update(encode(compact(message)))
                tokens += count_tokens(message["content"]) + IMAGE_TOKENS * len(message["images"])
                if digest.digest() in self._seen and tokens >= _LEAST_TOKENS:
                    cached = tokens
                self._seen.add(digest.digest())
        return cached
