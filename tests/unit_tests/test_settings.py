"""The fields: names, defaults, the environment, where requests go, and what stays secret."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.load import dumps
from pydantic import SecretStr, ValidationError

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeAuthenticationError,
    DashScopeInputError,
    DashScopeWarning,
    __version__,
)
from langchain_dashscope_deepseek._dashscope.protocol.parameters import OVERRIDABLE, PARAMETERS
from langchain_dashscope_deepseek.rate_limiter import TokenRateLimiter
from tests.unit_tests.conftest import Ask, Scripted, answer_of

BEIJING = "https://dashscope.aliyuncs.com/api/v1"
KEY = "sk-0123456789abcdef"


def chat(**settings: Any) -> ChatDashScopeDeepSeek:
    return ChatDashScopeDeepSeek(**{"model": "deepseek-v4-pro", **settings})


def test_the_model_must_be_named() -> None:
    with pytest.raises(ValidationError, match="model"):
        ChatDashScopeDeepSeek()


@pytest.mark.parametrize(
    ("alias", "field", "value"),
    [
        ("model_name", "model", "deepseek-v3.2"),
        ("dashscope_api_key", "api_key", "sk-x"),
        ("stop_sequences", "stop", ["a"]),
        ("request_timeout", "timeout", 3.0),
        ("timeout", "timeout", httpx.Timeout(3, read=9)),
    ],
)
def test_the_usual_names_work_too(alias: str, field: str, value: Any) -> None:
    settings = {alias: value} if field == "model" else {"model": "deepseek-v4-pro", alias: value}
    actual = getattr(ChatDashScopeDeepSeek(**settings), field)
    assert (actual.get_secret_value() if field == "api_key" else actual) == value


def test_the_model_reads_under_either_name() -> None:
    model = chat()
    model.model_name = "deepseek-v3.2"  # type: ignore[misc]
    assert (model.model, model.model_name) == ("deepseek-v3.2", "deepseek-v3.2")
    assert "model_name" not in {**model.model_dump(), **ChatDashScopeDeepSeek.model_fields}
    assert model.model_copy(update={"model_name": "deepseek-v4-pro"}).model == "deepseek-v4-pro"
    assert "model_name" not in dumps(model)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"Unknown setting temprature: did you mean temp"):
        chat(temprature=0)


@pytest.mark.parametrize(
    ("setting", "value", "expects"),
    [
        ("temperature", 2, "0 to below 2"),
        ("temperature", -0.1, "0 to below 2"),
        ("top_p", 0, "above 0 up to 1"),
        ("top_p", 1.1, "above 0 up to 1"),
        ("presence_penalty", 3, "-2 to 2"),
        ("repetition_penalty", 0, "above 0"),
        ("max_tokens", 0, "at least 1"),
        ("max_completion_tokens", 0, "at least 1"),
        ("thinking_budget", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("max_retries", -1, "at least 0"),
    ],
)
def test_a_value_that_no_model_takes_is_refused(setting: str, value: Any, expects: str) -> None:
    with pytest.raises(ValidationError, match=expects):
        chat(**{setting: value})


NUMBERS = [
    name
    for name, field in ChatDashScopeDeepSeek.model_fields.items()
    if name in OVERRIDABLE and {"int", "float"} & {*re.findall(r"\w+", str(field.annotation))}
]


def _assign(service: Scripted, name: str, value: Any) -> None:
    model = service.model()
    setattr(model, name, value)
    model.invoke("hi")


WAYS: dict[str, Callable[[Scripted, str, Any], object]] = {
    "constructed": lambda _, name, value: chat(**{name: value}),
    "in model_kwargs": lambda s, name, value: s.model(model_kwargs={name: value}).invoke("hi"),
    "assigned": _assign,
    "copied": lambda s, name, value: s.model().model_copy(update={name: value}).invoke("hi"),
    "for one call": lambda s, name, value: s.model().invoke("hi", **{name: value}),
    "bound": lambda s, name, value: s.model().bind(**{name: value}).invoke("hi"),
}


@pytest.mark.parametrize("value", [True, False, [True], [[False]]], ids=repr)
@pytest.mark.parametrize(
    ("way", "name"),
    [
        (way, name)
        for way in WAYS
        for name in NUMBERS
        if way != "in model_kwargs" or name in PARAMETERS
    ],
)
def test_a_boolean_is_no_number_however_it_is_set(
    way: str, name: str, value: Any, service: Scripted
) -> None:
    service.answer(answer_of())
    with pytest.raises(ValueError, match=f"{name} must be"):
        WAYS[way](service, name, value)
    assert not service.requests


def test_the_settings_that_are_numbers_are_found() -> None:
    assert {"reasoning_effort", "stop", "timeout", "max_retries", "temperature"} < {*NUMBERS}


def test_none_is_as_good_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_REGION", "ap-southeast-1")
    model = chat(api_key=None, base_url=None, region=None, model_kwargs=None, streaming=None)
    assert model.api_key is not None
    assert model.base_url == "https://dashscope-intl.aliyuncs.com/api/v1"


# --- Where requests go ---


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, BEIJING),
        ({"region": "cn-beijing"}, BEIJING),
        ({"region": "ap-southeast-1"}, "https://dashscope-intl.aliyuncs.com/api/v1"),
        ({"region": "us-east-1"}, "https://dashscope-us.aliyuncs.com/api/v1"),
        ({"region": "cn-hongkong"}, "https://cn-hongkong.dashscope.aliyuncs.com/api/v1"),
        (
            {"region": "eu-central-1", "workspace_id": "ws-1"},
            "https://ws-1.eu-central-1.maas.aliyuncs.com/api/v1",
        ),
        (
            {"region": "cn-beijing", "workspace_id": "ws-1"},
            "https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1",
        ),
        ({"workspace_id": "ws-1"}, BEIJING),
        (
            {"base_url": "https://proxy.test/api/v1/", "region": "us-east-1"},
            "https://proxy.test/api/v1",
        ),
    ],
)
def test_region_and_workspace_lead_to_a_url(settings: dict[str, str], url: str) -> None:
    assert chat(**settings).base_url == url


@pytest.mark.parametrize("region", ["eu-central-1", "ap-northeast-1"])
def test_a_region_without_a_legacy_host_asks_for_a_workspace(region: str) -> None:
    with pytest.raises(ValidationError, match="set workspace_id"):
        chat(region=region)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"region": "mars"}, "region must be one of cn-beijing, ap-southeast-1, us-east-1"),
        (
            {"workspace_id": "evil.host/"},
            r"workspace_id \(or DASHSCOPE_WORKSPACE_ID\) must be 1 to 64",
        ),
    ],
)
def test_a_region_or_workspace_that_cannot_be_right_is_refused(
    settings: dict[str, str], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        chat(**settings)


@pytest.mark.parametrize("variable", ["DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_BASE_URL"])
def test_the_environment_may_hold_the_base_url(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "https://env.test/api/v1")
    monkeypatch.setenv("DASHSCOPE_REGION", "us-east-1")
    assert chat().base_url == "https://env.test/api/v1"


def test_the_older_variable_wins_over_the_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "https://older.test/api/v1")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", "https://newer.test/api/v1")
    assert chat().base_url == "https://older.test/api/v1"


def test_the_newer_variable_of_the_region_wins_over_the_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_REGION", "us-east-1")
    assert chat().region == "us-east-1"
    monkeypatch.setenv("DASHSCOPE_REGION", "cn-hongkong")
    assert chat().region == "cn-hongkong"


def test_an_argument_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "https://env.test/api/v1")
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-env")
    assert chat(base_url="https://arg.test/api/v1").base_url == "https://arg.test/api/v1"
    assert chat(region="us-east-1").base_url == "https://ws-env.us-east-1.maas.aliyuncs.com/api/v1"
    assert chat(workspace_id="ws-arg").workspace_id == "ws-arg"


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_REGION"):
        monkeypatch.setenv(name, "")
    assert (chat().base_url, chat().api_key) == (BEIJING, None)


async def test_a_request_goes_to_the_one_route_with_these_headers(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    model = service.model(base_url="https://proxy.test/api/v1", workspace_id="ws-1")

    await ask(model, "hi", enable_thinking=True)

    request = service.requests[-1]
    assert str(request.url) == (
        "https://proxy.test/api/v1/services/aigc/text-generation/generation"
    )
    headers = {name: request.headers[name] for name in _PROMISED_HEADERS}
    assert headers == {
        "authorization": "Bearer sk-test-key",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "x-dashscope-sse": "enable",
        "x-dashscope-workspace": "ws-1",
        "user-agent": f"langchain-dashscope-deepseek/{__version__}",
    }


_PROMISED_HEADERS = (
    *("authorization", "content-type", "accept", "x-dashscope-sse"),
    *("x-dashscope-workspace", "user-agent"),
)


def test_an_answer_in_one_piece_is_asked_for_without_the_stream_headers(service: Scripted) -> None:
    service.answer(answer_of())
    service.model().invoke("hi", enable_thinking=False)
    assert "x-dashscope-sse" not in service.requests[-1].headers
    assert service.requests[-1].headers["accept"] == "application/json"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["http://user:hush-hush@proxy.test:no-port", "odd://user:hush-hush@proxy.test"]
)
async def test_a_broken_proxy_setting_is_blamed_and_not_quoted(
    variable: str, value: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(DashScopeInputError, match=f"^{variable} is not a proxy URL") as caught:
        await ask(chat(api_key=KEY), "hi")
    assert "base_url" not in str(caught.value)
    assert "hush-hush" not in str(caught.value)


async def test_a_header_stands_once_and_the_users_goes_over_ours_whatever_its_case(
    ask: Ask, service: Scripted
) -> None:
    """Else a gateway that was to get its own token gets the service's key."""
    service.answer(answer_of())
    own = {"authorization": "Bearer gateway", "USER-AGENT": "mine", "accept": "a/b"}
    await ask(service.model(default_headers=own, workspace_id="ws-1"), "hi")
    sent = service.requests[-1].headers
    assert sent.get_list("authorization") == ["Bearer gateway"]
    assert sent.get_list("user-agent") == ["mine"]
    assert sent.get_list("accept") == ["a/b"]
    names = [name.lower() for name, _ in sent.raw]
    assert len(names) == len(set(names))


def test_default_headers_go_over_ours(service: Scripted) -> None:
    service.answer(answer_of())
    headers = {"User-Agent": "mine", "X-DashScope-DataInspection": '{"input":"cip"}'}
    service.model(default_headers=headers).invoke("hi")
    assert service.requests[-1].headers["user-agent"] == "mine"
    assert service.requests[-1].headers["x-dashscope-datainspection"] == '{"input":"cip"}'


async def test_timeouts_are_set_per_request(ask: Ask, service: Scripted) -> None:
    """A client handed in needs none of its own."""
    service.answer(answer_of())
    await ask(service.model(timeout=7), "hi")
    assert service.requests[-1].extensions["timeout"] == dict.fromkeys(
        ("connect", "read", "write", "pool"), 7.0
    )
    await ask(service.model(timeout=7), "hi", timeout=httpx.Timeout(1, read=9))
    assert service.requests[-1].extensions["timeout"]["read"] == 9


def test_silence_may_last_longer_before_an_answer_in_one_piece(service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model()
    model.invoke("hi", enable_thinking=True)
    assert service.requests[-1].extensions["timeout"]["read"] == 300
    model.invoke("hi", enable_thinking=False)
    assert service.requests[-1].extensions["timeout"]["read"] == 1800


# --- The key ---


async def test_without_a_key_the_first_call_names_the_variable_and_sends_nothing(
    ask: Ask, service: Scripted
) -> None:
    model = service.model(api_key=None)
    with pytest.raises(DashScopeAuthenticationError, match="DASHSCOPE_API_KEY"):
        await ask(model, "hi")
    assert service.requests == []


@pytest.mark.parametrize("content", [KEY, f"\ufeff {KEY}\r\n"])
async def test_a_file_may_hold_the_key(
    content: str, ask: Ask, service: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(content, "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # the home on Windows
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "~/key")
    service.answer(answer_of())
    await ask(service.model(api_key=None), "hi")
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert _pickled(chat()).api_key == SecretStr(KEY)


@pytest.mark.parametrize("content", ["", "\ufeff \n"])
def test_an_empty_file_holds_no_key(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(content, "utf-8")
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(tmp_path / "key"))
    assert chat().api_key is None


def test_a_file_of_a_key_that_cannot_be_read_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(tmp_path / KEY))
    for settings in ({}, {"api_key": None}):
        with pytest.raises(ValueError, match="DASHSCOPE_API_KEY_FILE_PATH") as caught:
            chat(**settings)
        assert KEY not in str(caught.value)
    assert chat(api_key="sk-x").api_key is not None
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-x")
    assert chat().api_key == SecretStr("sk-x")


@pytest.mark.parametrize("key", ["sk-\u4f60\u597d", "sk-a b", "sk-a\nb"])
async def test_a_key_that_cannot_be_one_is_refused_and_not_shown(
    key: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeAuthenticationError) as caught:
        await ask(service.model(api_key=key), "hi")
    assert key not in str(caught.value)
    assert service.requests == []


def test_the_line_end_of_a_key_from_a_file_does_not_matter(service: Scripted) -> None:
    service.answer(answer_of())
    service.model(api_key=f"{KEY}\n").invoke("hi")
    assert service.requests[-1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.filterwarnings("ignore:.* was not pickled")
def test_the_key_and_the_headers_are_in_no_pickle_and_no_dump(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = chat(
        api_key=KEY, default_headers={"X-Secret": "hush-hush"}, proxy="http://a:hush-hush@b"
    )
    with pytest.warns(DashScopeWarning) as caught:
        pickled = pickle.dumps(model)
    assert [str(warning.message).split()[0] for warning in caught] == ["default_headers", "proxy"]
    assert KEY.encode() not in pickled
    assert b"hush-hush" not in pickled
    assert _pickled(model).api_key is None
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-of-the-other-side")
    other = _pickled(model)
    assert isinstance(other.api_key, SecretStr)
    assert other.api_key.get_secret_value() == "sk-of-the-other-side"
    for text in (dumps(model), str(model.asdict()), model.model_dump_json()):
        assert "hush-hush" not in text


@pytest.mark.parametrize("value", ["a\nb", "\u4e2d", "a\x00"])
def test_a_header_that_http_cannot_carry_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValidationError, match="X-Mine") as caught:
        chat(default_headers={"X-Mine": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "https://ws-1.ap-southeast-1.maas.aliyuncs.com",
        "http://localhost:8080",
    ],
)
@pytest.mark.parametrize("path", ["/compatible-mode/v1", "/compatible-mode/v1/chat/completions"])
def test_the_openai_route_is_refused_and_the_same_hosts_native_one_named(
    host: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = f"Write {re.escape(host)}/api/v1, or"
    for base_url in (host + path, f"{host}/a-path-that-may-be-secret{path}"):
        with pytest.raises(ValidationError, match=says):
            chat(base_url=base_url)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", host + path)
    with pytest.raises(ValidationError, match=says):
        chat()


SECONDS = [-1, float("nan"), float("inf"), 1e9]


@pytest.mark.parametrize(
    "timeout", [0, *SECONDS, *(httpx.Timeout(5, read=seconds) for seconds in SECONDS)], ids=str
)
async def test_a_timeout_that_cannot_be_is_refused(
    timeout: Any, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(ValidationError, match="timeout must be seconds above 0"):
        chat(timeout=timeout)
    with pytest.raises(DashScopeInputError, match="timeout must be seconds above 0"):
        await ask(service.model(), "hi", timeout=timeout)


def test_a_wrong_region_in_the_environment_does_not_matter_to_a_base_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASHSCOPE_REGION", "mars")
    assert chat(base_url="https://proxy.test/api/v1").base_url == "https://proxy.test/api/v1"
    with pytest.raises(ValidationError, match="REGION must be one of"):
        chat()


def test_identifying_params_tell_models_and_places_apart() -> None:
    params = [
        chat()._identifying_params,
        chat(region="us-east-1")._identifying_params,
        chat(temperature=0)._identifying_params,
        chat(model_kwargs={"x": 1})._identifying_params,
        chat(model="deepseek-v3.2")._identifying_params,
    ]
    assert [p for i, p in enumerate(params) if p in params[:i]] == []


def test_a_model_can_be_copied_and_pickled_after_use(
    service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    service.answer(answer_of())
    model = chat(temperature=0.5)
    for other in (copy.copy(model), copy.deepcopy(model), model.model_copy(), _pickled(model)):
        assert other.temperature == 0.5
        assert other.base_url == BEIJING
    model.close()


def _pickled(model: ChatDashScopeDeepSeek) -> ChatDashScopeDeepSeek:
    other = pickle.loads(pickle.dumps(model))
    assert isinstance(other, ChatDashScopeDeepSeek)
    return other


def test_a_deep_copy_counts_in_the_same_rate_limiter() -> None:
    limiter = TokenRateLimiter(requests_per_minute=60)
    model = ChatDashScopeDeepSeek(model="m", rate_limiter=limiter, callbacks=[limiter])
    other = copy.deepcopy(model)
    assert other.rate_limiter is limiter
    assert other.callbacks == [limiter]


def test_a_client_handed_in_adds_its_own_headers_and_query(service: Scripted) -> None:
    service.answer(answer_of())
    http = httpx.Client(transport=service, headers={"X-Team": "a"}, params={"stage": "test"})
    ChatDashScopeDeepSeek(model="m", api_key="sk-x", http_client=http).invoke("hi")
    sent = service.requests[-1]
    assert (sent.headers["x-team"], sent.url.params["stage"]) == ("a", "test")


def test_a_hook_that_raises_for_a_status_is_named_and_shows_no_secret(service: Scripted) -> None:
    service.answer({"code": "InvalidApiKey", "message": "wrong"}, status=401)
    hooks: Any = {"response": [lambda response: response.raise_for_status()]}
    http = httpx.Client(transport=service, event_hooks=hooks)
    model = ChatDashScopeDeepSeek(model="m", api_key="sk-x", http_client=http)
    with pytest.raises(DashScopeInputError, match="hook raises for a status: remove it") as caught:
        model.invoke("a private prompt")
    cause = caught.value.__cause__
    assert isinstance(cause, httpx.HTTPStatusError)
    for request in (cause.request, cause.response.request):
        assert "authorization" not in request.headers
        assert request.content == b""
    assert len(service.requests) == 1


async def test_clients_handed_in_are_not_closed(service: Scripted) -> None:
    model = service.model()
    async with model:
        model.close()
    assert model.http_client is not None
    assert model.http_async_client is not None
    assert not model.http_client.is_closed
    assert not model.http_async_client.is_closed


def test_clients_handed_in_are_shared_with_copies_and_are_in_no_pickle(service: Scripted) -> None:
    model = service.model(temperature=0.5)
    other = copy.deepcopy({"model": model})["model"]
    assert (other.http_client, other.temperature) == (model.http_client, 0.5)
    with pytest.raises(TypeError, match="construct it again in the other process"):
        pickle.dumps(model)


@pytest.mark.parametrize(
    "url",
    [
        *("https://proxy.test/api/v1", "http://127.0.0.1:8765/api/v1", "http://127.1.2.3/api/v1"),
        *("http://localhost:80/api/v1", "http://a.localhost/api/v1", "http://[::1]:8765/api/v1"),
    ],
)
def test_a_base_url_that_nobody_can_listen_to_is_taken(url: str) -> None:
    assert chat(base_url=url).base_url == url


@pytest.mark.parametrize("host", ["proxy.test", "10.0.0.5:8080", "[2001:db8::1]", "localhost.test"])
def test_a_base_url_without_encryption_is_warned_about(host: str) -> None:
    with pytest.warns(DashScopeWarning, match="use https://"):
        chat(base_url=f"http://{host}/api/v1")


def test_langsmith_hears_the_model_of_the_call() -> None:
    params = chat(temperature=0.5, max_tokens=9, stop="x")._get_ls_params(model="deepseek-v3.2")
    assert params == {
        "ls_provider": "dashscope_deepseek",
        "ls_model_name": "deepseek-v3.2",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }


def test_an_error_of_a_setting_says_where_it_stands() -> None:
    with pytest.raises(ValidationError) as caught:
        ChatDashScopeDeepSeek(model="m", temprature=1, max_retries="many")
    assert {error["loc"] for error in caught.value.errors()} == {("temprature",), ("max_retries",)}


def test_messages_of_another_package_for_this_service_are_read_as_before() -> None:
    """`langchain-qwq` calls its provider dashscope."""
    script = (
        "from langchain_core.messages.block_translators import get_translator\n"
        "before = get_translator('dashscope')\n"
        "import langchain_dashscope_deepseek\n"
        "assert get_translator('dashscope') is before\n"
        "assert get_translator('dashscope_deepseek') is not None\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
