"""Real things on 127.0.0.1 between a model and the emulator: TLS, and a proxy."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import trustme
from typing_extensions import Self

from tests.waiting import PATIENCE_SECONDS, eventually

MITMDUMP = Path(__file__).parents[2] / ".venv-mitmproxy" / "bin" / "mitmdump"


class TlsRelay(threading.Thread):
    """Listens with TLS on a free port, and passes everything on to another port."""

    def __init__(self, target: int, certificate: trustme.LeafCert) -> None:
        super().__init__(name="tls-relay", daemon=True)
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self._context)
        self._listening: Future[int] = Future()

    @property
    def port(self) -> int:
        return self._listening.result(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self.join(PATIENCE_SECONDS)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._context)
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._stopped.wait()
        server.close()

    async def _pass_on(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.gather(_pump(client_reader, writer), _pump(reader, client_writer))
        finally:
            writer.transport.abort()
            client_writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


class Proxy:
    """mitmdump on a free port, as a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._options = ("--listen-host", "127.0.0.1", "--listen-port", "0", *options)

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [MITMDUMP, "--set", f"confdir={self._folder}", *self._options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        eventually(lambda: bool(self._listening() or self._process.poll() is not None))
        listening = self._listening()
        if listening is None:
            self._process.kill()
            raise RuntimeError(f"mitmdump does not start: {self.log}")
        self.address = listening[1]
        return self

    def _listening(self) -> re.Match[str] | None:
        return re.search(r"listening at (127\.0\.0\.1:\d+)", self.log)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def certificate(self) -> Path:
        """The CA with which it opens TLS."""
        return self._folder / "mitmproxy-ca-cert.pem"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def count_connections_to(self, port: int) -> int:
        return self.log.count(f"server connect 127.0.0.1:{port}")
