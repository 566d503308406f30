"""Where faults are provoked: the emulator, a raw server for what it cannot do, and both let go.

All on 127.0.0.1. A raw server plays the same steps on every connection, byte by byte as written.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

import httpx
from typing_extensions import Self

from langchain_dashscope_deepseek.testing import DashScopeEmulator

KEY = "sk-key-that-nobody-may-read"
PROMPT = "Question that nobody may read"

_LONGEST_WAIT = 20.0
"""Seconds after which a server gives up; no test that passes waits so long."""

Step = bytes | Callable[[socket.socket], None]
"""What a raw server does next on a connection: send these bytes, or this."""


def read_request(peer: socket.socket) -> None:
    """Read a request to its end."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += receive(peer)
    head, _, body = raw.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].partition(b":")[2]) - len(body) if lengths else 0
    while left > 0:
        left -= len(receive(peer))


def hold(peer: socket.socket) -> None:
    """Say nothing until the client leaves."""
    with suppress(ConnectionError):
        while True:
            receive(peer)


def reset(peer: socket.socket) -> None:
    """Close with a TCP reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def pause(_: socket.socket) -> None:
    """Let the client read what was sent, which a reset would overtake."""
    threading.Event().wait(0.05)


def drip(content: bytes) -> Callable[[socket.socket], None]:
    """Send byte by byte."""

    def step(peer: socket.socket) -> None:
        for position in range(len(content)):
            peer.sendall(content[position : position + 1])

    return step


def now_and_then(piece: bytes) -> Callable[[socket.socket], None]:
    """Send a piece again and again, with silences that no client minds, until the client leaves."""

    def step(peer: socket.socket) -> None:
        for _ in range(int(_LONGEST_WAIT / 0.2)):
            peer.sendall(piece)
            threading.Event().wait(0.2)

    return step


def flood(piece: bytes, size: int) -> Callable[[socket.socket], None]:
    """Send a piece again and again, up to a size or until the client leaves."""

    def step(peer: socket.socket) -> None:
        for _ in range(size // len(piece)):
            peer.sendall(piece)

    return step


def receive(peer: socket.socket) -> bytes:
    """Receive what is there; raises where the client left."""
    received = peer.recv(65_536)
    if not received:
        raise ConnectionAbortedError
    return received


class RawServer:
    """Plays its steps on every connection, then closes it; TLS comes first if given."""

    def __init__(self, steps: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        """Listen, and begin to accept."""
        self._steps, self._tls = steps, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._peers: set[socket.socket] = set()
        self.seen = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def open(self) -> int:
        """How many connections have not come to their end."""
        with self._lock:
            return len(self._peers)

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(_LONGEST_WAIT)
        self._listener.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_LONGEST_WAIT)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                peer, _ = self._listener.accept()
                with self._lock:
                    self.seen += 1
                    self._peers.add(peer)
                self._threads.append(
                    threading.Thread(target=self._serve, args=(peer,), daemon=True)
                )
                self._threads[-1].start()

    def _serve(self, accepted: socket.socket) -> None:
        peer = accepted
        try:
            peer.settimeout(_LONGEST_WAIT)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
            for step in self._steps:
                if isinstance(step, bytes):
                    peer.sendall(step)
                else:
                    step(peer)
        except OSError:
            pass  # the client left, which is its right
        finally:
            peer.close()
            accepted.close()
            with self._lock:
                self._peers.discard(accepted)


class Stage:
    """The servers of one fault, and the settings and variables that lead a model to them."""

    def __init__(self, certificates: Certificates) -> None:
        """Begin with nothing."""
        self.certificates = certificates
        self.settings: dict[str, Any] = {}
        self.environment: dict[str, str] = {}
        self._emulator: DashScopeEmulator | None = None
        self._server: RawServer | None = None
        self._to_stop = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the servers."""
        self._to_stop.close()

    def emulate(self, **settings: Any) -> DashScopeEmulator:
        """Lead the model to the emulator."""
        self._emulator = self._to_stop.enter_context(DashScopeEmulator(**settings))
        self.settings["base_url"] = self._emulator.base_url
        return self._emulator

    def serve(self, *steps: Step, scheme: str = "http", tls: ssl.SSLContext | None = None) -> str:
        """Lead the model to a raw server; gives its address."""
        self._server = RawServer(steps, tls)
        self._to_stop.callback(self._server.stop)
        self.settings["base_url"] = f"{scheme}://{self._server.address}/api/v1"
        return self._server.address

    def proxy(self, *steps: Step) -> None:
        """Lead the model to a raw server by way of the proxy settings."""
        self.via(self.serve(*steps))

    def via(self, address: str) -> None:
        """Lead the model through a proxy whose password is as secret as the key."""
        self.environment["HTTPS_PROXY"] = f"http://user:{KEY}@{address}"
        self.settings["base_url"] = "https://service.invalid/api/v1"

    def refused_port(self) -> str:
        """Hold a port on which nobody listens, so that no server beside this test gets it."""
        held = self._to_stop.enter_context(socket.socket())
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"

    def impatient(self) -> None:
        """Let the model wait no longer than it must to be sure of a silence."""
        self.settings["timeout"] = httpx.Timeout(10, read=1)

    @property
    def seen(self) -> int | None:
        """How many requests or connections have come; `None` where nobody listens."""
        if self._emulator is not None:
            return len(self._emulator.requests)
        return self._server.seen if self._server is not None else None

    @property
    def open(self) -> int:
        """How many answers are still being written."""
        return (self._emulator.open_streams if self._emulator else 0) + (
            self._server.open if self._server else 0
        )


class Certificates:
    """Certificates for servers: of an authority that the model trusts, and of a stranger."""

    def __init__(self) -> None:
        """Make both authorities."""
        import trustme  # noqa: PLC0415 - the docs read the table without it

        self.trusted, self._stranger = trustme.CA(), trustme.CA()

    def stranger(self) -> ssl.SSLContext:
        """Give a certificate for the right host that nobody vouches for."""
        return self._of(self._stranger, "127.0.0.1")

    def right(self) -> ssl.SSLContext:
        """Give a trusted certificate for the right host."""
        return self._of(self.trusted, "127.0.0.1")

    def wrong_host(self) -> ssl.SSLContext:
        """Give a trusted certificate for another host."""
        return self._of(self.trusted, "elsewhere.invalid")

    def _of(self, authority: Any, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        return context
