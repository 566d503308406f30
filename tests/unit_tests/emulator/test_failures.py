"""How the emulator fails: as the service, as a gateway, as a network."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import Client, eventually

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

FAILURE: dict[str, Any] = {"code": "Throttling.RateQuota", "message": "Too fast."}


@pytest.mark.parametrize(
    ("shape", "status", "kind"),
    [
        ("json", 429, "application/json"),
        ("sse", 200, "text/event-stream;charset=UTF-8"),
        ("sse_as_json", 429, "application/json"),
    ],
)
def test_a_failure_takes_the_shapes_of_the_service(
    client: Client, emulator: DashScopeEmulator, shape: Any, status: int, kind: str
) -> None:
    emulator.fail(**FAILURE, status=429, shape=shape, headers={"Retry-After": "7"})

    asked = client.ask(stream=True)

    assert asked.body == {**FAILURE, "request_id": asked.response.headers["x-request-id"]}
    assert (asked.status, asked.response.headers["content-type"]) == (status, kind)
    assert asked.response.headers["retry-after"] == "7"
    if "sse" in shape:
        assert asked.response.text.startswith("id:1\nevent:error\n:HTTP_STATUS/429\ndata:{")


def test_a_failure_takes_the_shapes_of_gateways(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.fail("model_not_found", "No such model.", status=404, shape="openai")
    emulator.fail("BadGateway", status=502, shape="html")

    error = {"message": "No such model.", "type": "model_not_found", "code": "model_not_found"}
    assert client.ask().body == {"error": error}
    page = client.post()
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert page.text.startswith("<html>")


def test_a_stream_can_fail_after_some_packets(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.fail(**FAILURE, status=429, after=3)

    asked = client.ask(stream=True)

    assert asked.status == 200
    assert [("output" in packet) for packet in asked.packets] == [True, True, True, False]
    assert "id:4\nevent:error\n:HTTP_STATUS/429\n" in asked.response.text


def test_a_scripted_failure_checks_nothing_but_the_key(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.fail(**FAILURE, status=429)

    assert client.ask(model="no-such-model").status == 429


def test_a_stream_can_end_without_a_finish_reason(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.cut(2, how="clean")
    emulator.cut(3, text="One, two, three", reasoning="Let me see", how="clean")

    assert client.ask(stream=True).finish_reason == "null"
    asked = client.ask(stream=True)
    assert len(asked.packets) == 3
    assert asked.joined("reasoning_content") == "Let me see"


@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_can_break(client: Client, emulator: DashScopeEmulator, stream: bool) -> None:
    emulator.cut(2)

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stream=stream)


def test_a_stalled_stream_notices_that_the_client_went_away(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.stall(2, 60)

    with client.open(stream=True) as response:
        text = next(response.iter_text())
        assert text.startswith("id:1")
        assert emulator.open_streams == 1

    assert eventually(lambda: (emulator.open_streams, emulator.disconnects) == (0, 1))


def test_a_stall_ends_with_a_broken_connection(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.stall(1, 0.05)

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stream=True)


def test_an_abandoned_stream_is_noticed(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply("A long answer. " * 20, piece_delay=0.05)

    with client.open(stream=True):
        pass

    assert eventually(lambda: (emulator.open_streams, emulator.disconnects) == (0, 1))


def test_a_raw_body_is_sent_as_it_is(client: Client, emulator: DashScopeEmulator) -> None:
    body = 'data:{"output":{}}\n\ndata:你好'
    emulator.raw(body, piece=1)
    emulator.raw(b"\xff", status=418, headers={"Content-Type": "text/plain"})

    streamed, strange = client.post(stream=True), client.post()

    assert streamed.text == body
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert (strange.status_code, strange.content) == (418, b"\xff")
    assert strange.headers["content-type"] == "text/plain"


def test_it_stops_at_once_whatever_is_under_way(http: httpx.Client) -> None:
    threads = threading.active_count()
    emulator = DashScopeEmulator().start()
    client = Client(emulator, http)
    emulator.reply("late", delay=60)
    emulator.stall(1, 60)
    errors: list[httpx.HTTPError] = []

    def has_asked(number: int) -> bool:
        return len(emulator.requests) == number

    def ask(stream: bool) -> None:
        try:
            client.post(stream=stream)
        except httpx.HTTPError as error:
            errors.append(error)

    asking = [threading.Thread(target=ask, args=(stream,)) for stream in (False, True)]
    for number, thread in enumerate(asking, 1):
        thread.start()
        assert eventually(partial(has_asked, number))
    http.get(emulator.base_url)  # and keep that connection open
    start = time.monotonic()
    emulator.stop()
    assert time.monotonic() - start < 1
    for thread in asking:
        thread.join(5)
    assert len(errors) == 2
    assert emulator.disconnects == 0
    assert threading.active_count() == threads
    emulator.stop()
    with pytest.raises(RuntimeError, match="is not running"):
        _ = emulator.base_url


def test_it_can_be_started_again(http: httpx.Client) -> None:
    emulator = DashScopeEmulator()
    for _ in range(2):
        with emulator:
            assert Client(emulator, http).ask().status == 200
    assert len(emulator.requests) == 2


def test_a_connection_is_kept_alive(client: Client) -> None:
    ports = set()
    for stream in (True, True, False, False):
        with client.open(stream=stream) as response:
            response.read()
            ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1
