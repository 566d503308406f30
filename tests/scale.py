"""Whether a table of a million prompts takes more memory than one of ten thousand.

`python -m tests.scale --rows 10000 1000000` runs the batch command over both, against a server in
a process of its own that answers at once, and fails where the larger one's peak is much higher.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RATIO = 1.3
CONCURRENCY = 100
ANSWER = json.dumps(
    {
        "output": {
            "choices": [
                {
                    "message": {"role": "assistant", "content": "Positive."},
                    "finish_reason": "stop",
                }
            ]
        },
        "usage": {"input_tokens": 40, "output_tokens": 2, "total_tokens": 42},
        "request_id": "00000000-0000-4000-8000-000000000000",
    }
).encode()


async def serve() -> None:
    """Print the port, and answer until the standard input ends."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
            streamed = b"x-dashscope-sse: enable" in head
            body = b"event:result\ndata:" + ANSWER + b"\n\n" if streamed else ANSWER
            kind = b"text/event-stream" if streamed else b"application/json"
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
                % (kind, len(body), body)
            )
            await writer.drain()
    writer.close()


def measure(rows: int, port: int, folder: Path) -> int:
    """Give the peak of the memory of a run over so many rows, in bytes."""
    table = folder / f"{rows}.jsonl"
    with table.open("w", encoding="utf-8") as file:
        for number in range(rows):
            prompt = f"Label as positive or negative: kettle {number} is fine. " + "Really. " * 20
            file.write(json.dumps({"id": f"row-{number}", "prompt": prompt}) + "\n")
    began = time.monotonic()
    out = folder / f"of-{rows}"
    command = ["-m", "langchain_dashscope_deepseek.batch", "run", str(table), "--out", str(out)]
    model = ["--model", "deepseek-v4-flash-0731", "--set", "enable_thinking=false"]
    process = subprocess.Popen(
        [sys.executable, *command, *model, "--concurrency", str(CONCURRENCY)],
        cwd=ROOT,
        env={
            **os.environ,
            "DASHSCOPE_API_KEY": "sk-scale",
            "DASHSCOPE_HTTP_BASE_URL": f"http://127.0.0.1:{port}/api/v1",
        },
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    seconds = time.monotonic() - began
    print(f"{rows:,} rows: {peak / 1e6:.1f} MB at most, {rows / seconds:,.0f} rows/s", flush=True)
    answered = sum(1 for part in out.glob("part-*") for _ in part.open("rb"))
    assert answered == rows
    return peak


def main() -> None:
    """Compare the two."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--serve", action="store_true", help="be the server")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    command = [sys.executable, "-m", "tests.scale", "--serve"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        few, many = (measure(rows, port, Path(folder)) for rows in arguments.rows)
        server.kill()
    print(f"ratio {many / few:.3f}, at most {RATIO}")
    assert many / few < RATIO


if __name__ == "__main__":
    main()
