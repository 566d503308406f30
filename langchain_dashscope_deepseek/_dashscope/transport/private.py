"""Whether a client's connection holds bytes that no request asked for.

httpx looks at the socket alone before it uses a connection again; what came in behind an answer may
be in a parser, a decrypted record or a queue, and would be the next call's answer (RFC 9112, 6.3,
forbids that). Looks into httpcore, h11 and anyio, which show it nowhere: where anything is not as
expected, the connection counts as unclean, and is closed instead of used again. Asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def is_spotless(client: Any) -> bool:
    """Tell whether the next answer of an idle client of httpx can only be the next call's.

    `False` too where it cannot be told.
    """
    try:
        return all(_is_clean(connection) for connection in _connections_of(client))
    except (AttributeError, TypeError, ValueError):
        return False


def _connections_of(client: Any) -> Iterator[Any]:
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if transport is not None:
            yield from transport._pool.connections  # noqa: SLF001


def _is_clean(connection: Any) -> bool:
    # Behind a proxy and before its first request, a connection holds another one, or none yet.
    while not hasattr(connection, "_h11_state"):
        connection = connection._connection  # noqa: SLF001
    left, has_ended = connection._h11_state.trailing_data  # noqa: SLF001
    is_idle: bool = connection.is_idle()
    return is_idle and not left and not has_ended and _is_silent(connection._network_stream)  # noqa: SLF001


def _is_silent(stream: Any) -> bool:
    """Tell whether nothing waits on a socket, in TLS or in a queue."""
    stream = getattr(stream, "inner", stream)  # on a line of ours
    if stream.get_extra_info("is_readable"):
        return False
    tls = stream.get_extra_info("ssl_object")
    if tls is not None and tls.pending():
        return False
    inner = getattr(stream, "_stream", None)
    if inner is None:
        buffer = getattr(stream, "_incoming", None)  # TLS within TLS, of a proxy
        return buffer is None or not buffer.pending
    while hasattr(inner, "transport_stream"):
        if inner._read_bio.pending:  # noqa: SLF001
            return False
        inner = inner.transport_stream
    return not inner._protocol.read_queue  # noqa: SLF001
