"""Everything that touches private names of other libraries, where no public name does it.

Each function fails safe where a library is not built as expected: a connection then counts as
unusable, or is closed later than it should be. `tests/unit_tests/dashscope/test_private.py` says
which one it is. `connections.Transport` sets one more: `_pool`, in which httpx keeps its pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any


def remove_lock(pool: Any) -> None:
    """Take the lock out of a pool of httpcore's, which one call at a time uses.

    Its `__enter__` is written in Python: an interrupt within leaves it held, and the handler of the
    interrupt then waits for it for ever.
    """
    pool._optional_thread_lock = nullcontext()  # noqa: SLF001


def has_trailing_data(connection: Any) -> bool:
    """Tell whether h11 holds bytes behind the last answer; `True` if that cannot be told.

    They would be read as the next answer, which RFC 9112, section 6.3, forbids.
    """
    try:
        while not hasattr(connection, "_h11_state"):  # TLS and proxies hold another connection
            connection = connection._connection  # noqa: SLF001
        data, has_ended = connection._h11_state.trailing_data  # noqa: SLF001
    except (AttributeError, TypeError, ValueError):
        return True
    return bool(data or has_ended)


def has_buffered(stream: Any) -> bool:
    """Tell whether bytes wait between asyncio and the parser; `True` if that cannot be told."""
    try:
        *layers, sock = _layers(stream)
        if any(tls._read_bio.pending for tls in layers):  # noqa: SLF001
            return True
        tls = stream.get_extra_info("ssl_object")
        return bool(sock._protocol.read_queue or (tls and tls.pending()))  # noqa: SLF001
    except AttributeError:
        return True


def abort(stream: Any) -> None:
    """Close a socket of an event loop at once, even where the loop is closed."""
    *_, sock = _layers(stream)
    transport = sock._transport  # noqa: SLF001
    try:
        transport.abort()
    except RuntimeError:  # a closed loop does not come to it
        transport._call_connection_lost(None)  # noqa: SLF001


def _layers(stream: Any) -> Iterator[Any]:
    """Yield anyio's streams below one of httpcore's: those of TLS, then the socket."""
    layer = stream._stream  # noqa: SLF001
    while hasattr(layer, "transport_stream"):
        yield layer
        layer = layer.transport_stream
    yield layer
