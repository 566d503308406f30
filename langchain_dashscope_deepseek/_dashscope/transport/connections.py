"""A connection for one request: an HTTP client that was acquired, whose it is, what became of it.

Opens and closes nothing by itself; the pool does.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek.errors import DashScopeInputError

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.streams import Line

AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)

NEVER = float("inf")


class Tenant(NamedTuple):
    """Whose connection it is: what must be equal for a call to get it.

    Attributes:
        base_url: The service.
        who: A digest of the key and the other headers; a tenant stands in frames that a traceback
            may show.
        proxy: The proxy, if it is not left to the environment.
        verify: Whether, or by what, the server's certificate is checked.
    """

    base_url: str
    who: bytes
    proxy: SecretStr | None = None
    verify: ssl.SSLContext | bool = True


class Connection(Generic[AnyClient]):
    """An HTTP client for one request, and what became of it.

    Attributes:
        http: The client.
        line: Its network. `None` for a client of the user's, whose network is the user's.
        response: What was answered; the pool closes it where the client is the user's.
        is_clean: Whether the answer was read to its end and closed, so that the next may come.
    """

    def __init__(self, http: AnyClient, line: Line | None = None) -> None:
        """Begin with a client that nobody else has."""
        self.http: AnyClient = http
        self.line = line
        self.response: httpx.Response | None = None
        self.is_clean = False

    def begin(self, until: float) -> None:
        """Begin a request, to which the call may wait until a time.

        Raises:
            DashScopeInputError: A client of the user's is closed.
        """
        if self.line is not None:
            self.line.until = until
        elif self.http.is_closed:
            msg = "The HTTP client that was handed in is closed: hand in an open one"
            raise DashScopeInputError(msg)

    def build(
        self, url: httpx.URL, *, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> httpx.Request:
        """Build the request; a client of the user's adds its own headers, cookies and the like."""
        if self.line is not None:
            times = {"timeout": timeout.as_dict()}
            return httpx.Request("POST", url, content=content, headers=headers, extensions=times)
        return self.http.build_request(
            "POST", url, content=content, headers=headers, timeout=timeout
        )

    def answered(self, response: httpx.Response) -> httpx.Response:
        """Note that the head of an answer has come."""
        self.response = response
        if self.line is not None:
            self.line.head_is_over()
        return response

    def pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """Read the body of an answer; a hook of the user's may have read it already."""
        if self.line is not None and isinstance(response.stream, httpx.SyncByteStream):
            return iter(response.stream)  # there is nothing to decode
        return response.iter_bytes()

    def apieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Read the body of an answer; a hook of the user's may have read it already."""
        if self.line is not None:
            with suppress(AttributeError, ImportError):  # another version: as httpx reads
                return _Body(response.stream)
        return response.aiter_bytes()

    def end_within(self, seconds: float) -> bool:
        """Let no read wait longer than this, all in all; a client of the user's cannot do that."""
        if self.line is not None:
            self.line.until = min(self.line.until, time.monotonic() + seconds)
        return self.line is not None


class _Body(AsyncIterator[bytes]):
    """The body of an answer of a client in a loop, read without an asynchronous generator.

    httpx and httpcore read it through four, which await something when they are dropped. Where no
    loop waits for that, Python prints it: under `nest_asyncio`, and where a loop has ended.
    """

    def __init__(self, stream: Any) -> None:
        from httpx._transports.default import map_httpcore_exceptions  # noqa: PLC0415

        self._mapped = map_httpcore_exceptions
        of_connection = stream._stream._httpcore_stream._stream  # noqa: SLF001
        self._receive = of_connection._connection._receive_event  # noqa: SLF001
        self._timeout = of_connection._request.extensions["timeout"]["read"]  # noqa: SLF001
        self._has_ended = False

    async def __anext__(self) -> bytes:
        if self._has_ended:
            raise StopAsyncIteration
        try:
            event = await self._receive(timeout=self._timeout)
        except Exception:
            with self._mapped():
                raise
        data: bytes | bytearray | None = getattr(event, "data", None)
        if data is None:
            self._has_ended = True
            raise StopAsyncIteration
        return bytes(data)
