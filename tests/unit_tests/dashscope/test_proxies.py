"""Which proxy a connection goes through, as the settings and the environment say."""

from __future__ import annotations

import gc
import socket
import ssl
import time
import weakref
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeConnectionError,
    DashScopeInputError,
    DashScopeTimeoutError,
)
from langchain_dashscope_deepseek._dashscope.transport.connections import proxy_of
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import Ask

PROXY = "http://user:hush-hush@proxy.test:8080"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def proxied(base_url: str) -> bytes | None:
    """Give the host of the proxy."""
    proxy = proxy_of(base_url, None)
    return None if proxy is None else proxy.url.host


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", [PROXY, "proxy.test:8080"])
def test_the_environments_proxy_is_used(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert proxied("https://service.test/api/v1") == b"proxy.test"


def test_each_scheme_has_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://plain.test:8080")
    assert proxied("http://service.test/api/v1") == b"plain.test"
    assert proxied("https://service.test/api/v1") is None
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert proxied("https://service.test/api/v1") == b"proxy.test"
    assert proxied("http://service.test/api/v1") == b"plain.test"


def test_the_models_proxy_goes_over_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other.test:8080")
    monkeypatch.setenv("NO_PROXY", "*")
    proxy = proxy_of("https://service.test/api/v1", SecretStr(PROXY))
    assert proxy is not None
    assert (proxy.url.host, proxy.url.port, proxy.auth) == (
        *(b"proxy.test", 8080),
        (b"user", b"hush-hush"),
    )


BYPASSED = [
    *(("*", "service.test"), ("a.test, *", "service.test"), ("service.test", "service.test")),
    *((".test", "service.test"), ("test", "service.test"), ("SERVICE.test", "service.test")),
    *(("service.test:443", "service.test"), ("10.1.2.3", "10.1.2.3"), ("::1", "[::1]")),
    *(("[::1]", "[::1]"), ("[::1]:443", "[::1]"), ("10.0.0.0/8", "10.1.2.3")),
    *(("fe80::/10", "[fe80::1]"), ("localhost", "localhost")),
]
NOT_BYPASSED = [
    *(("", "service.test"), ("other.test", "service.test"), ("service.test:80", "service.test")),
    *(("10.0.0.0/8", "11.1.2.3"), ("fe80::/10", "[2001:db8::1]"), ("10.0.0.0/8", "service.test")),
    *(("rvice.test", "service.test"), ("[::1", "service.test"), ("10.0.0.0/99", "10.1.2.3")),
    *(("http://[", "service.test"), (", ,", "service.test"), ("::1/x", "[::1]")),
]


@pytest.mark.parametrize(("no_proxy", "host"), BYPASSED)
def test_a_host_that_no_proxy_names_is_asked_directly(
    no_proxy: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxied(f"https://{host}/api/v1") is None


@pytest.mark.parametrize(("no_proxy", "host"), NOT_BYPASSED)
def test_another_host_is_not_and_entries_that_nobody_can_read_are_skipped(
    no_proxy: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxied(f"https://{host}/api/v1") == b"proxy.test"


@pytest.mark.parametrize("value", ["foo://user:hush-hush@proxy.test", "http://a:hush-hush@b:c"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
async def test_an_error_names_the_variable_and_does_not_quote_it(
    variable: str, value: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        DashScopeInputError, match=f"^{variable.upper()} is not a proxy URL"
    ) as caught:
        await ask(_model(), "hi")
    assert "hush-hush" not in str(caught.value)


async def test_certificates_that_cannot_be_read_are_blamed_on_their_variable(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").write_text("no certificate", encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(DashScopeInputError, match=r"^The certificates cannot be read"):
        await ask(_model(), "hi")


async def test_a_context_of_the_user_is_not_kept(ask: Ask) -> None:
    """It may hold the private key of a tenant."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    kept = weakref.ref(context)
    model = _model(verify=context)
    with pytest.raises(DashScopeConnectionError):
        await ask(model, "hi")
    del context, model
    gc.collect()
    assert kept() is None


async def test_a_socks_proxy_without_its_package_says_what_to_install(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where httpcore would say so only when a request is under way, and by an ImportError."""
    monkeypatch.setattr(f"{proxy_of.__module__}.find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hush-hush@127.0.0.1:1")
    with pytest.raises(DashScopeInputError, match=r'^ALL_PROXY is a SOCKS proxy.*"httpx\[socks\]"'):
        await ask(_model(), "hi")


def _model(**settings: Any) -> ChatDashScopeDeepSeek:
    base_url = "http://127.0.0.1:1/api/v1"  # nobody listens
    where = {"base_url": base_url, "api_key": "sk-x", "max_retries": 0}
    return ChatDashScopeDeepSeek(**{"model": "m", **where, **settings})


# --- Names with several addresses ---


@pytest.mark.parametrize(
    "bounds", [{"timeout": httpx.Timeout(60, connect=0.8)}, {"max_seconds": 0.8}]
)
async def test_the_addresses_of_a_name_share_the_time_to_connect(
    bounds: dict[str, Any], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # what the queue has no room for is not answered
            each.setblocking(False)
            each.connect_ex(address)
        real = socket.getaddrinfo

        def found(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            several = host in ("many.localhost", b"many.localhost")
            return real(address[0], port, *args, **kwargs) * 4 if several else real(host, port, *args, **kwargs)  # fmt: skip

        monkeypatch.setattr(socket, "getaddrinfo", found)
        began = time.monotonic()
        with pytest.raises(DashScopeTimeoutError):
            await ask(_model(base_url=f"http://many.localhost:{address[1]}/api/v1", **bounds), "hi")
        assert 0.7 < time.monotonic() - began < 2.4
        for each in waiting:
            each.close()


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
async def test_the_next_address_is_tried_where_one_refuses(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def found(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host in ("many.localhost", b"many.localhost") else [host]  # fmt: skip
        return [each for host in hosts for each in real(host, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with DashScopeEmulator() as emulator:
        base_url = emulator.base_url.replace("127.0.0.1", "many.localhost")
        model = _model(model="deepseek-v4-pro", base_url=base_url, api_key=emulator.api_key)
        assert "hello" in (await ask(model, "hello")).text
        await model.aclose()
