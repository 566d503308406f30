"""Proxies, TLS and redirects, with a real proxy and real certificates on 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeConnectionError,
    DashScopeError,
    DashScopeInvalidRequestError,
)
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.servers import MITMDUMP, Proxy, TlsRelay
from tests.leaks import all_text
from tests.unit_tests.conftest import STYLES, Ask
from tests.waiting import eventually

pytestmark = pytest.mark.emulator_only

needs_proxy = pytest.mark.skipif(
    not MITMDUMP.exists(), reason="make integration_tests installs the proxy"
)

KEY = "sk-of-the-network-tests"
QUESTION = "Who stands between us?"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Chat = Callable[..., ChatDashScopeDeepSeek]


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def relay(emulator: DashScopeEmulator, ca: trustme.CA) -> Iterator[TlsRelay]:
    """The emulator behind TLS."""
    with TlsRelay(port_of(emulator), ca.issue_cert("127.0.0.1")) as relay:
        yield relay


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, ca_file: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))


@pytest.fixture
async def chat(relay: TlsRelay) -> AsyncIterator[Chat]:
    """Make models that ask the emulator over TLS; close them and their clients after the test."""
    made: list[ChatDashScopeDeepSeek] = []

    def make(**settings: Any) -> ChatDashScopeDeepSeek:
        url = f"https://127.0.0.1:{relay.port}/api/v1"
        asks = {"model": "deepseek-v4-pro", "base_url": url, "api_key": KEY, "max_retries": 0}
        made.append(ChatDashScopeDeepSeek(**{**asks, **settings}))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()
        if model.http_client:
            model.http_client.close()
        if model.http_async_client:
            await model.http_async_client.aclose()


def port_of(emulator: DashScopeEmulator) -> int:
    port = httpx.URL(emulator.base_url).port
    assert port is not None
    return port


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def clients(**settings: Any) -> dict[str, Any]:
    return {
        "http_client": httpx.Client(**settings),
        "http_async_client": httpx.AsyncClient(**settings),
    }


# --- A proxy that passes TLS on ---


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("proxy"), "--ignore-hosts", ".*") as proxy:
        yield proxy


@needs_proxy
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_the_proxy_of_the_environment_is_used(
    variable: str,
    ask: Ask,
    chat: Chat,
    proxy: Proxy,
    relay: TlsRelay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    assert QUESTION in (await ask(chat(), QUESTION)).text
    assert proxy.count_connections_to(relay.port) == 1


@needs_proxy
async def test_the_proxy_and_the_certificates_of_a_model_serve_every_kind_of_call(
    ask: Ask,
    chat: Chat,
    proxy: Proxy,
    relay: TlsRelay,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They go over the environment's."""
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    context = ssl.create_default_context(cafile=str(ca_file))
    assert QUESTION in (await ask(chat(proxy=proxy.url, verify=context), QUESTION)).text
    assert proxy.count_connections_to(relay.port) == 1
    with pytest.raises(DashScopeConnectionError):
        await ask(chat(proxy=proxy.url), QUESTION)


async def test_a_certificate_may_go_unchecked(ask: Ask, chat: Chat) -> None:
    with pytest.raises(DashScopeConnectionError):
        await ask(chat(), QUESTION)
    assert QUESTION in (await ask(chat(verify=False), QUESTION)).text


@needs_proxy
@pytest.mark.usefixtures("trusted")
async def test_a_stream_comes_and_goes_through_a_proxy_as_it_is_made(
    chat: Chat, proxy: Proxy, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    emulator.stall(3, 60)
    stream = chat().astream(QUESTION)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(eventually, lambda: emulator.disconnects == 1)
    assert emulator.open_streams == 0


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_that_is_gone_is_a_connection_error(
    ask: Ask, chat: Chat, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hush-hush@127.0.0.1:{free_port()}")
    with pytest.raises(DashScopeConnectionError, match="the proxy settings") as caught:
        await ask(chat(), QUESTION)
    assert_hides(caught.value, KEY, QUESTION, "hush-hush")
    assert emulator.requests == []


# --- A proxy that opens TLS ---


@pytest.fixture(scope="module")
def opening_proxy(ca_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    trust = f"ssl_verify_upstream_trusted_ca={ca_file}"
    with Proxy(tmp_path_factory.mktemp("opening-proxy"), "--set", trust) as proxy:
        yield proxy


@needs_proxy
async def test_a_proxy_that_opens_tls_needs_its_certificate_only(
    ask: Ask, chat: Chat, opening_proxy: Proxy, relay: TlsRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", opening_proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(opening_proxy.certificate))
    assert QUESTION in (await ask(chat(), QUESTION)).text
    assert opening_proxy.count_connections_to(relay.port) == 1


@needs_proxy
@pytest.mark.usefixtures("trusted")
async def test_a_proxy_that_opens_tls_unasked_never_sees_the_key(
    ask: Ask,
    chat: Chat,
    opening_proxy: Proxy,
    emulator: DashScopeEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", opening_proxy.url)
    with pytest.raises(DashScopeConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        await ask(chat(), QUESTION)
    assert_hides(caught.value, KEY, QUESTION)
    assert emulator.requests == []


# --- A proxy that wants to know who asks ---


@pytest.fixture(scope="module")
def strict_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    options = ("--ignore-hosts", ".*", "--proxyauth", "user:hush-hush")
    with Proxy(tmp_path_factory.mktemp("strict-proxy"), *options) as proxy:
        yield proxy


@needs_proxy
@pytest.mark.usefixtures("trusted")
async def test_the_credentials_of_a_proxy_are_sent_to_it_alone(
    ask: Ask,
    chat: Chat,
    strict_proxy: Proxy,
    emulator: DashScopeEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hush-hush@{strict_proxy.address}")
    assert QUESTION in (await ask(chat(), QUESTION)).text
    [request] = emulator.requests
    assert "proxy-authorization" not in request.headers
    assert request.headers["authorization"] == f"Bearer {KEY}"


@needs_proxy
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("credentials", ["", "user:whisper@"])
async def test_a_proxy_that_turns_us_away_is_an_error_that_hides_the_credentials(
    credentials: str,
    ask: Ask,
    chat: Chat,
    strict_proxy: Proxy,
    emulator: DashScopeEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{credentials}{strict_proxy.address}")
    with pytest.raises(DashScopeConnectionError, match="407 Proxy Authentication") as caught:
        await ask(chat(), QUESTION)
    assert_hides(caught.value, KEY, QUESTION, "whisper")
    assert emulator.requests == []


# --- TLS ---


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_that_the_environment_trusts_is_trusted(ask: Ask, chat: Chat) -> None:
    assert QUESTION in (await ask(chat(), QUESTION)).text


async def test_a_certificate_that_nobody_trusts_gets_no_request(
    ask: Ask, chat: Chat, emulator: DashScopeEmulator
) -> None:
    with pytest.raises(DashScopeConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        await ask(chat(), QUESTION)
    assert_hides(caught.value, KEY, QUESTION)
    assert emulator.requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_host_gets_no_request(
    ask: Ask, chat: Chat, emulator: DashScopeEmulator, ca: trustme.CA
) -> None:
    with TlsRelay(port_of(emulator), ca.issue_cert("elsewhere.test")) as relay:
        model = chat(base_url=f"https://127.0.0.1:{relay.port}/api/v1")
        with pytest.raises(DashScopeConnectionError, match="IP address mismatch") as caught:
            await ask(model, QUESTION)
    assert_hides(caught.value, KEY, QUESTION)
    assert emulator.requests == []


# --- Redirects ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("is_pooled", [True, False], ids=["pooled", "user"])
async def test_a_redirect_is_named_and_never_followed(
    status: int, is_pooled: bool, ask: Ask, chat: Chat, emulator: DashScopeEmulator
) -> None:
    with DashScopeEmulator() as other:
        emulator.raw("", status=status, headers={"location": other.base_url})
        own_clients = {} if is_pooled else clients(follow_redirects=True)
        model = chat(base_url=emulator.base_url, **own_clients)
        with pytest.raises(DashScopeInvalidRequestError) as caught:
            await ask(model, QUESTION)
        assert other.base_url in str(caught.value)
        assert caught.value.status_code == status
        assert_hides(caught.value, KEY, QUESTION)
        assert (len(emulator.requests), other.requests) == (1, [])


def assert_hides(error: DashScopeError, *secrets: str) -> None:
    text = all_text(error)
    assert str(error) in text
    for secret in secrets:
        assert secret not in text
