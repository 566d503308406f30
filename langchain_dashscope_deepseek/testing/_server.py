"""An HTTP server with one thread for each connection, keep-alive and chunked bodies.

It knows nothing about DashScope. Every wait ends when the server stops or the client disconnects.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
_JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class RecordedRequest:
    """A received request.

    Attributes:
        method: The HTTP method.
        path: The path with its query.
        headers: The headers, with names in lower case.
        body: The parsed JSON; `None` if the body is empty or not JSON.
        raw: The bytes of the body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response; with `chunked`, its parts are sent as a stream.

    Each part is flushed if `flushed` is set or `piece_delay` (seconds between parts) is not 0. The
    server waits `silence` seconds after the parts; `drop` closes the connection in mid-body.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()
    chunked: bool = False
    flushed: bool = False
    delay: float = 0.0
    piece_delay: float = 0.0
    silence: float = 0.0
    drop: bool = False


class _StoppingError(Exception):
    """The server stopped while it was sending a response."""


class Server(ThreadingHTTPServer):
    """Serves on 127.0.0.1 in a thread; `answer` makes the response to a request."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self, port: int, answer: Callable[[str, str, Mapping[str, str], bytes], Response]
    ) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self.open_streams = 0
        self.disconnects = 0
        self._lock = threading.Lock()
        self._connections: dict[Any, threading.Thread] = {}
        super().__init__((_HOST, port), _Handler)
        self._loop = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="dashscope-emulator", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End every wait, close every connection and join every thread."""
        self.stopping.set()
        self.shutdown()
        self._loop.join()
        with self._lock:
            connections = list(self._connections.items())
        for connection, thread in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN_SECONDS)
        self.server_close()

    def server_bind(self) -> None:
        # HTTPServer's method looks up the host name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[request]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        if not isinstance(sys.exc_info()[1], ConnectionError):
            logger.error("The emulator failed.", exc_info=sys.exc_info())

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a stream as open."""
        with self._lock:
            self.open_streams += 1
        try:
            yield
        finally:
            with self._lock:
                self.open_streams -= 1

    def count_disconnect(self) -> None:
        with self._lock:
            self.disconnects += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.answer(self.command, self.path, headers, raw)
        try:
            self._wait(response.delay)
            self._write(response)
        except _StoppingError:
            self.close_connection = True
        except ConnectionError:
            self.close_connection = True
            if not self.server.stopping.is_set():
                self.server.count_disconnect()

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - names that http.server requires

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            if value:
                self.send_header(name, value)
        self.close_connection = response.drop or self.close_connection
        if response.chunked:
            self._write_stream(response)
        else:
            body = b"".join(response.parts)
            # A cut body is announced one byte too long, so that the client can notice.
            self.send_header("content-length", str(len(body) + response.drop))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            self._wait(response.silence)

    def _write_stream(self, response: Response) -> None:
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with self.server.counted():
            self.wfile.flush()
            for number, part in enumerate(filter(None, response.parts)):
                self._wait(response.piece_delay if number else 0)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                if response.flushed or response.piece_delay:
                    self.wfile.flush()
            self.wfile.flush()
            self._wait(response.silence)
        # After `counted`: a client that has read the end must not see the stream as open.
        if not response.drop:
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.server.stopping.wait(min(left, _POLL_SECONDS)):
                raise _StoppingError
            self._check_client()

    def _check_client(self) -> None:
        self.connection.setblocking(False)
        try:
            gone = not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            gone = False
        finally:
            self.connection.setblocking(True)
        if gone:
            raise ConnectionAbortedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        logger.debug(format, *args)
