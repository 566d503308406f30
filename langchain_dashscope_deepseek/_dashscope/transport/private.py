"""The private names of httpcore, anyio and asyncio that this package uses, for lack of public ones.

If a library changes them, a connection is not reused or closes later, or an interrupt may leave a
lock held; `test_private.py` fails. `connections` sets one more: `_pool` of a transport of httpx.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any


def remove_lock(pool: Any) -> None:
    """Replace a pool's lock by one that does nothing: only one request at a time uses the pool."""
    # An interrupt in its __enter__ leaves it held, and then closing the pool blocks forever.
    pool._optional_thread_lock = nullcontext()  # noqa: SLF001


def has_trailing_data(pool: Any) -> bool:
    """Tell whether h11 holds bytes after the last response; `True` if that is unknown."""
    # They would be read as the next response (see RFC 9112, section 6.3).
    try:
        (connection,) = pool.connections
        while not hasattr(connection, "_h11_state"):  # a connection wraps another; a proxy adds one
            connection = connection._connection  # noqa: SLF001
        data, has_ended = connection._h11_state.trailing_data  # noqa: SLF001
    except (AttributeError, TypeError, ValueError):
        return True
    return bool(data or has_ended)


def has_unread_bytes(stream: Any) -> bool:
    """Tell whether asyncio or TLS holds bytes that were not read; `True` if that is unknown."""
    try:
        *layers, sock = _layers(stream)
        return bool(sock._protocol.read_queue) or any(tls._read_bio.pending for tls in layers)  # noqa: SLF001
    except AttributeError:
        return True


def abort(stream: Any) -> None:
    """Close a socket of an event loop without awaiting, even if the loop is closed."""
    *_, sock = _layers(stream)
    transport = sock._transport  # noqa: SLF001
    try:
        transport.abort()
    except RuntimeError:  # a closed loop runs no callbacks
        transport._call_connection_lost(None)  # noqa: SLF001


def _layers(stream: Any) -> Iterator[Any]:
    """Yield the streams of anyio in a stream of httpcore: those of TLS, then the socket."""
    layer = stream._stream  # noqa: SLF001
    while hasattr(layer, "transport_stream"):
        yield layer
        layer = layer.transport_stream
    yield layer
