"""Everything that touches private names of other libraries, where no public name does it.

Where a library is built in another way, a connection counts as unusable or closes later, and the
tests in `test_private.py` fail. `connections` sets one more: `_pool`, where httpx keeps its pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any


def remove_lock(pool: Any) -> None:
    """Remove the lock of a pool that only one call at a time uses."""
    # An interrupt within its __enter__ leaves it held, and then closing waits for it for ever.
    pool._optional_thread_lock = nullcontext()  # noqa: SLF001


def has_trailing_data(pool: Any) -> bool:
    """Tell whether h11 holds bytes behind the last response; `True` if that cannot be told."""
    # They would be read as the next response, which RFC 9112, section 6.3, forbids.
    try:
        (connection,) = pool.connections
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
        return bool(sock._protocol.read_queue) or any(tls._read_bio.pending for tls in layers)  # noqa: SLF001
    except AttributeError:
        return True


def abort(stream: Any) -> None:
    """Close a socket of an event loop at once, even if the loop is closed."""
    *_, sock = _layers(stream)
    transport = sock._transport  # noqa: SLF001
    try:
        transport.abort()
    except RuntimeError:  # a closed loop runs nothing any more
        transport._call_connection_lost(None)  # noqa: SLF001


def _layers(stream: Any) -> Iterator[Any]:
    """Yield the streams of anyio within one of httpcore: those of TLS, then the socket."""
    layer = stream._stream  # noqa: SLF001
    while hasattr(layer, "transport_stream"):
        yield layer
        layer = layer.transport_stream
    yield layer
