"""A setting counts whatever way it is set, a secret stays one, and tenants share nothing."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import pickle
import re
import ssl
import time
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers import BaseTracer
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeAuthenticationError,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInputError,
    DashScopeTimeoutError,
    DashScopeWarning,
    ModelCapabilities,
    TokenRateLimiter,
)
from langchain_dashscope_deepseek._dashscope.protocol import parameters
from langchain_dashscope_deepseek._dashscope.protocol.aliases import ADVICE_BY_NAME
from langchain_dashscope_deepseek._dashscope.protocol.parameters import DROPPABLE, PARAMETERS
from langchain_dashscope_deepseek._dashscope.regions import Location
from langchain_dashscope_deepseek._dashscope.transport.connections import NetworkSettings
from langchain_dashscope_deepseek._model_fields import ModelFields
from tests.leaks import all_text
from tests.unit_tests.conftest import STYLES, Ask, Scripted, answer_of

KEY = "sk-ws-H.secret0.secret1"
NEW = "some-new-model"
BEIJING = "https://dashscope.aliyuncs.com/api/v1"

# --- Whatever way it is set ---

EXAMPLES = (True, 0.5, 7, ["x"], {"type": "json_object"})
PARAMETER_VALUES = {
    name: next(value for value in EXAMPLES if parameters.fits(name)(value))
    for name in PARAMETERS
    if name in ModelFields.model_fields
}
"""For each parameter of a request, the first example that is valid for it."""

NOT_SENT: dict[str, Any] = {
    "parallel_tool_calls": PARAMETER_VALUES.pop("parallel_tool_calls"),  # without tools
    "max_retries": 7,
    "max_seconds": 7.0,
    "max_answer_size": 7,
    "proxy": SecretStr("http://proxy.test:8080"),
    "verify": False,
    "http_client": httpx.Client(),
    "http_async_client": httpx.AsyncClient(),
    "environment": Location(region="us-east-1"),
}
"""What a request does not show."""

VALUES: dict[str, Any] = {
    **PARAMETER_VALUES,
    "model": "deepseek-v3.2",
    "api_key": "sk-other",
    "base_url": "https://gateway.test/api/v1",
    "region": "ap-southeast-1",
    "workspace_id": "ws-1",
    "model_kwargs": {"no_such_parameter": 3, "temperature": 0.7},
    "timeout": 7.0,
    "streaming": False,
    "default_headers": {"X-Mine": "a"},
    "capabilities": ModelCapabilities(thinking="never"),
}


def constructed(service: Scripted, name: str, value: Any) -> Any:
    return service.model(**{"model": NEW, name: value})


def copied(service: Scripted, name: str, value: Any) -> Any:
    return service.model(NEW).model_copy(update={name: value})


def assigned(service: Scripted, name: str, value: Any) -> Any:
    model = service.model(NEW)
    setattr(model, name, value)
    return model


def configured(service: Scripted, name: str, value: Any) -> Any:
    field = ConfigurableField(id="it")
    model = service.model(NEW).configurable_fields(**{name: field})
    return model.with_config(configurable={"it": value})


def asked(service: Scripted, model: Any) -> Any:
    """Tell all that a request of the model is."""
    service.answers.clear()
    service.answer(answer_of("{}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DashScopeWarning)
        model.invoke("JSON, please")
    request = service.requests[-1]
    headers = {k: v for k, v in request.headers.items() if k not in ("host", "content-length")}
    return request.url, headers, request.extensions["timeout"], json.loads(request.content)


def test_every_setting_is_tried() -> None:
    own = ModelFields.__annotations__.keys() - {"model_config"}
    own = {name for name in own if not name.startswith("_")}
    assert own == VALUES.keys() | NOT_SENT.keys()


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("way", [copied, assigned, configured])
@pytest.mark.parametrize("environment", [{}, {"DASHSCOPE_HTTP_BASE_URL": "https://env.test/api/v1"},
                                         {"DASHSCOPE_REGION": "us-east-1"}])  # fmt: skip
def test_a_setting_counts_whatever_way_it_is_set(
    name: str,
    way: Callable[..., Any],
    environment: dict[str, str],
    service: Scripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    wanted = asked(service, constructed(service, name, VALUES[name]))
    assert asked(service, way(service, name, VALUES[name])) == wanted
    assert wanted != asked(service, service.model(NEW))


@pytest.mark.parametrize("name", DROPPABLE)
def test_a_parameter_that_a_row_excludes_is_left_out(name: str, service: Scripted) -> None:
    row = ModelCapabilities(unsettable=frozenset({name}))
    model = service.model(NEW, capabilities=row, **{name: VALUES[name]})
    service.answer(answer_of("hi"))
    with pytest.warns(DashScopeWarning, match=f"{name} was left out of the request to {NEW}"):
        model.invoke("hi")
    assert name not in json.loads(service.requests[-1].content)["parameters"]


@pytest.mark.parametrize("name", NOT_SENT)
def test_a_setting_that_is_not_sent_counts_whatever_way_it_is_set(name: str) -> None:
    value, plain = NOT_SENT[name], ChatDashScopeDeepSeek(model="m")
    assert getattr(plain, name) != value
    copy = plain.model_copy(update={name: value})
    field = ConfigurableField(id="it")
    configurable = plain.configurable_fields(**{name: field})
    configured, _ = configurable.prepare({"configurable": {"it": value}})  # type: ignore[attr-defined]
    setattr(plain, name, value)
    for model in (ChatDashScopeDeepSeek(model="m", **{name: value}), copy, configured, plain):
        assert getattr(model, name) == value


def test_no_parameter_is_explained_as_unsupported() -> None:
    assert ADVICE_BY_NAME.keys().isdisjoint(PARAMETERS)


def test_every_parameter_is_a_setting_of_the_model() -> None:
    of_one_call = {"tools", "tool_choice"}
    assert PARAMETERS.keys() - of_one_call == PARAMETERS.keys() & ModelFields.model_fields.keys()


def test_every_number_has_a_rule_or_is_strict() -> None:
    """Otherwise pydantic would take `True` for 1."""
    own = ModelFields.__annotations__.items()
    numbers = {name for name, kind in own if re.search(r"\b(int|float)\b", str(kind))}
    assert len(numbers) > 8
    without_rule = numbers - parameters._RULES.keys()
    assert all(Strict() in ModelFields.model_fields[name].metadata for name in without_rule)


def test_the_defaults_of_connections_are_those_of_the_settings() -> None:
    fields = {name: ModelFields.model_fields[name] for name in NetworkSettings._fields}
    assert NetworkSettings()._asdict() == {name: f.default for name, f in fields.items()}


AS_TEXT: dict[str, Any] = {
    "max_tokens": "5",
    "temperature": "0.5",
    "enable_thinking": "true",
    "seed": 7.0,
    "timeout": {"connect": 1, "read": 2, "write": 3, "pool": 4},
    "region": " ap-southeast-1 ",
    "workspace_id": " ws-1\n",
    "base_url": "  ",
    "capabilities": {"thinking": "never"},
    "stop": ("x", "y"),
}
"""What the constructor makes something else of."""


@pytest.mark.parametrize("name", AS_TEXT)
@pytest.mark.parametrize("way", [copied, assigned, configured])
def test_what_the_constructor_mends_is_mended_whatever_way_it_is_set(
    name: str, way: Callable[..., Any], service: Scripted
) -> None:
    wanted = asked(service, constructed(service, name, AS_TEXT[name]))
    assert asked(service, way(service, name, AS_TEXT[name])) == wanted


@pytest.mark.parametrize("way", [copied, assigned, configured])
def test_a_model_stays_in_the_environment_that_it_was_made_in(
    way: Callable[..., Any], service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key came from there as well, and must not go elsewhere."""
    monkeypatch.setenv("DASHSCOPE_REGION", "us-east-1")
    monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", "ws-1")
    wanted = asked(service, constructed(service, "seed", 7))
    make = service.model

    def elsewhere(*args: Any, **settings: Any) -> Any:
        model = make(*args, **settings)
        monkeypatch.setenv("DASHSCOPE_REGION", "ap-southeast-1")
        monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", "ws-2")
        return model

    monkeypatch.setattr(service, "model", elsewhere)
    assert asked(service, way(service, "seed", 7)) == wanted


def test_two_names_of_one_setting_are_refused() -> None:
    with pytest.raises(ValidationError, match="model_name is another name of model"):
        ChatDashScopeDeepSeek(model="m", model_name="n")


def test_a_setting_is_assigned_by_its_other_names(service: Scripted) -> None:
    model = service.model(NEW)
    for name, field in (("request_timeout", "timeout"), ("model_name", "model")):
        setattr(model, name, VALUES.get(field))
        assert getattr(model, field) == VALUES[field]
    model.__setattr__("dashscope_api_key", KEY)
    assert "secret0" not in f"{vars(model)}"
    assert asked(service, model)[1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("way", [constructed, copied, assigned])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_client", httpx.AsyncClient()),
        ("http_async_client", httpx.Client()),
        ("verify", []),
        ("verify", "/no/such.pem"),
        ("streaming", "maybe"),
        ("disable_streaming", "x"),
    ],
)
def test_what_no_call_would_refuse_is_refused_at_once(
    way: Callable[..., Any], name: str, value: Any, service: Scripted
) -> None:
    with pytest.raises(ValueError, match=name):
        way(service, name, value)


def test_a_subclass_says_what_its_own_validators_say() -> None:
    class Own(ChatDashScopeDeepSeek):
        budget: int = Field(default=1, alias="my_budget")

        @field_validator("budget")
        @classmethod
        def _check(cls, budget: int) -> int:
            if budget > 5:
                kind = "too_dear"
                raise PydanticCustomError(kind, "{budget} is too dear", {"budget": budget})
            return budget

    with pytest.raises(ValidationError) as caught:
        Own(model="m", my_budget=9)
    (problem,) = caught.value.errors()
    assert (problem["type"], problem["msg"]) == ("too_dear", "9 is too dear")
    assert problem["ctx"] == {"budget": 9}
    model = Own(model="m", my_budget=2)
    for way in (
        lambda: setattr(model, "budget", 9),
        lambda: model.model_copy(update={"my_budget": 9}),
        lambda: Own(model="m", budget=9),
    ):
        with pytest.raises(ValidationError, match="9 is too dear") as caught:
            way()
        assert caught.value.errors()[0]["input"] == "[redacted]"
    with pytest.raises(ValidationError, match="budget is another name of budget"):
        Own(model="m", budget=2, my_budget=3)


def test_a_subclass_with_aliases_is_configured_and_dumped(service: Scripted) -> None:
    """LangChain does both by the names of the fields."""

    class Own(ChatDashScopeDeepSeek):
        tenant: str = Field("t0", validation_alias=AliasChoices("tenant_id", "tid"))

    service.answer(answer_of())
    model = Own(model="m", tenant_id="x", http_client=httpx.Client(transport=service), api_key=KEY)
    field = ConfigurableField(id="t")
    configured = model.configurable_fields(temperature=field)
    assert configured.with_config(configurable={"t": 0.1}).invoke("hi").text == "hi"
    assert model.model_copy(update={"tid": "z"}).tenant == "z"
    assert model.model_copy(update={"tenant": "z"}).tenant == "z"
    with pytest.raises(ValidationError, match="Unknown setting tenent_id: did you mean tenant_id"):
        Own(model="m", tenent_id="x")


def test_a_subclass_may_validate_what_is_assigned(service: Scripted) -> None:
    """A frozen one cannot be made: core sets the metadata of each model."""

    class Own(ChatDashScopeDeepSeek):
        model_config = ConfigDict(validate_assignment=True)

    model = Own(model="m", api_key=KEY, http_client=httpx.Client(transport=service))
    service.answer(answer_of())
    assert model.invoke("hi").text == "hi"
    assert Own(model="m").metadata is not None
    model.region = "us-east-1"
    assert model.base_url == "https://dashscope-us.aliyuncs.com/api/v1"
    with pytest.raises(ValidationError, match="temperature must be"):
        model.temperature = 9


def test_a_subclass_may_take_any_name() -> None:
    class Own(ChatDashScopeDeepSeek):
        model_config = ConfigDict(extra="allow")

    model: Any = Own(model="m", team=None, n=1)
    model.team = "a"
    for other in (model, model.model_copy(update={"seed": 7}), model.for_tenant()):
        assert other.model_extra == {"team": "a", "n": 1}


@pytest.mark.parametrize("name", [*sorted(VALUES.keys() - {"model"}), "max_retries", "verify"])
@pytest.mark.parametrize("way", [copied, assigned, configured])
def test_none_is_as_good_as_left_out_whatever_way_it_is_set(
    name: str, way: Callable[..., Any], service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-env")
    wanted = asked(service, constructed(service, name, None))
    assert asked(service, way(service, name, None)) == wanted


@pytest.mark.parametrize("way", [copied, assigned])
def test_what_is_computed_follows(way: Callable[..., Any], service: Scripted) -> None:
    model = way(service, "model", "deepseek-v4.1-flash")
    assert model.profile["image_inputs"] is True
    other = way(service, "region", "ap-southeast-1")
    assert other.base_url == "https://dashscope-intl.aliyuncs.com/api/v1"
    assert other._identifying_params["base_url"] == other.base_url
    assert dumpd(other)["kwargs"]["region"] == "ap-southeast-1"


def test_a_dump_tells_the_places_of_two_environments_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LangChain's caches go by it."""
    here = ChatDashScopeDeepSeek(model="m")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "https://env.test/api/v1")
    there = ChatDashScopeDeepSeek(model="m")
    assert dumps(here) != dumps(there)
    monkeypatch.setenv("DASHSCOPE_REGION", "us-east-1")
    region = ChatDashScopeDeepSeek(model="m", region="ap-southeast-1")
    assert "env.test" not in dumps(region)


def test_a_profile_that_was_given_stays(service: Scripted) -> None:
    profile: Any = {"max_input_tokens": 7}
    model = service.model(profile=profile)
    model.model = "deepseek-v3"
    assert model.profile == profile


def test_a_copy_knows_no_other_settings(service: Scripted) -> None:
    for way in (copied, assigned):
        with pytest.raises(ValueError, match="temprature: did you mean temperature"):
            way(service, "temprature", 1)
        with pytest.raises(ValueError, match="openai_api_key: write api_key"):
            way(service, "openai_api_key", KEY)
    assert service.model().model_copy(update={"request_timeout": 3.0}).timeout == 3.0


def test_what_is_refused_changes_nothing(service: Scripted) -> None:
    model = service.model(temperature=0.5)
    with pytest.raises(ValidationError, match="temperature must be a number from 0 to below 2"):
        model.temperature = 9
    assert model.temperature == 0.5


def test_an_assignment_keeps_what_was_added_to_a_setting(service: Scripted) -> None:
    service.answer(answer_of())
    model: Any = service.model(stop=["a"])
    model.stop.append("b")
    model.model_kwargs["no_such_parameter"] = 3
    model.default_headers = {"X-A": "1"}
    model.default_headers["X-B"] = "2"
    model.temperature = 0.5
    model.invoke("hi")
    request = service.requests[-1]
    assert json.loads(request.content)["parameters"].items() >= {
        "stop": ["a", "b"], "no_such_parameter": 3, "temperature": 0.5
    }.items()  # fmt: skip
    assert (request.headers["x-a"], request.headers["x-b"]) == ("1", "2")


async def test_a_call_checks_what_was_added_to_a_setting(ask: Ask, service: Scripted) -> None:
    model: Any = service.model(stop=["a"])
    model.stop.append(3)
    with pytest.raises(DashScopeInputError, match="stop must be a string or a list"):
        await ask(model, "hi")
    assert not service.requests


def test_a_subclass_may_assign_in_a_validator_and_take_arguments_of_its_own() -> None:
    class Own(ChatDashScopeDeepSeek):
        def __init__(self, tenant: str) -> None:
            super().__init__(model="m", workspace_id=tenant)
            self.seed = 7

        @model_validator(mode="after")
        def _be_calm(self) -> Own:
            self.top_p = 0.5
            self.proxy = f"http://me:{KEY}@proxy.test"
            return self

    model = Own("ws-1")
    for other in (model, model.model_copy(update={"max_tokens": 9}), model.for_tenant()):
        other.temperature = 1
        assert (other.seed, other.top_p, other.workspace_id) == (7, 0.5, "ws-1")
        assert "secret0" not in f"{vars(other)}"


# --- No way shows a secret ---

WAYS: dict[str, Callable[[Any], Any]] = {
    "constructed": lambda key: ChatDashScopeDeepSeek(model="m", api_key=key),
    "by its alias": lambda key: ChatDashScopeDeepSeek(model="m", dashscope_api_key=key),
    "copied": lambda key: ChatDashScopeDeepSeek(model="m").model_copy(update={"api_key": key}),
    "copied by its alias": lambda key: ChatDashScopeDeepSeek(model="m").model_copy(
        update={"dashscope_api_key": key}
    ),
    "for a tenant": lambda key: ChatDashScopeDeepSeek(model="m").for_tenant(api_key=key),
}


def _assigned(key: Any) -> ChatDashScopeDeepSeek:
    model = ChatDashScopeDeepSeek(model="m")
    model.api_key = key
    return model


WAYS["assigned"] = _assigned

TEXTS: dict[str, Callable[[ChatDashScopeDeepSeek], object]] = {
    "repr": repr,
    "str": str,
    "model_dump": lambda model: model.model_dump(),
    "model_dump_json": lambda model: model.model_dump_json(),
    "dumpd": dumpd,
    "dumps": dumps,
    "asdict": lambda model: model.asdict(),
    "pickle": pickle.dumps,
    "params": lambda model: (
        model._identifying_params,
        model._get_ls_params(),
        model.lc_attributes,
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["text", "secret", "function"])
def test_no_way_of_setting_a_key_shows_it(way: str, text: str, kind: str) -> None:
    keys: dict[str, Any] = {"text": KEY, "secret": SecretStr(KEY), "function": partial(str, KEY)}
    model = WAYS[way](keys[kind])
    shown = TEXTS[text](model)
    shown = shown if isinstance(shown, bytes) else str(shown).encode()
    assert b"secret0" not in shown


def test_a_query_of_the_environment_is_in_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"https://gateway.test/api/v1?k={KEY}")
    model = ChatDashScopeDeepSeek(model="m", api_key="sk-x", region="us-east-1")
    assert b"secret0" not in pickle.dumps(model)


SECRET_HEADERS = {"X-Secret": KEY}


def _fails(error: type[BaseException]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def with_secrets(**settings: Any) -> ChatDashScopeDeepSeek:
    secrets = {"api_key": KEY, "default_headers": SECRET_HEADERS, "proxy": f"http://a:{KEY}@p.test"}
    return ChatDashScopeDeepSeek(**{"model": "deepseek-v4-pro", **secrets, **settings})


REFUSED: dict[str, Callable[[], Any]] = {
    "a value": lambda: with_secrets(temperature=9),
    "a name": lambda: with_secrets(temprature=0.9),
    "a header": lambda: with_secrets(default_headers={"X-Secret": f"{KEY}\n"}),
    "a header's name": lambda: with_secrets(default_headers={f"X {KEY}": "1"}),
    "headers": lambda: with_secrets(default_headers=KEY),
    "a query": lambda: with_secrets(base_url=f"https://gateway.test?token={KEY}"),
    "a password": lambda: with_secrets(base_url=f"https://a:{KEY}@gateway.test"),
    "a proxy": lambda: with_secrets(proxy=f"foo://a:{KEY}@p.test"),
    "a copied name": lambda: with_secrets().model_copy(update={"api_key": KEY, "temprature": 1}),
    "a copied header": lambda: with_secrets().model_copy(
        update={"api_key": KEY, "default_headers": {"X-Secret": f"{KEY}\n"}}
    ),
    "a copied query": lambda: with_secrets().model_copy(
        update={"base_url": f"https://gateway.test?token={KEY}"}
    ),
    "an assigned header": lambda: setattr(
        with_secrets(), "default_headers", {"X-Secret": f"{KEY}\n"}
    ),
    "an assigned proxy": lambda: setattr(with_secrets(), "proxy", f"foo://a:{KEY}@p.test"),
    "an assigned query": lambda: setattr(with_secrets(), "base_url", f"https://g.test?k={KEY}"),
    "a tenant's header": lambda: with_secrets().for_tenant(
        api_key=KEY, default_headers={"X-Secret": f"{KEY}\n"}
    ),
    "a tenant's region": lambda: with_secrets().for_tenant(api_key=KEY, region="mars"),
    "a tenant's query": lambda: with_secrets().for_tenant(base_url=f"https://g.test?k={KEY}"),
    "a setting of a call": lambda: with_secrets().invoke("hi", temprature=1),
    "a value of a call": lambda: with_secrets().invoke("hi", temperature=9),
    "tools": lambda: with_secrets(model="deepseek-r1-distill-llama-8b").bind_tools([print]),
    "no key": lambda: with_secrets(api_key=lambda: "").invoke("hi"),
    "a function": lambda: with_secrets(api_key=partial(_fails(OSError), KEY)).invoke("hi"),
    "bytes of a function": lambda: with_secrets(api_key=f"{KEY} ".encode).invoke("hi"),
    "another class's key": lambda: ChatDashScopeDeepSeek(model="m", openai_api_key=KEY),
    "another class's headers": lambda: with_secrets(headers=SECRET_HEADERS),
    "another class's body": lambda: with_secrets(extra_body={"api_key": KEY}),
    "a copied name of elsewhere": lambda: with_secrets().model_copy(update={"openai_api_key": KEY}),
    "an assigned name of elsewhere": lambda: setattr(with_secrets(), "openai_api_key", KEY),
    "an assigned alias": lambda: setattr(with_secrets(), "dashscope_api_base", f"https://g?{KEY}"),
    "a list of keys": lambda: with_secrets(api_key=[KEY]),
    "an assigned list of keys": lambda: setattr(with_secrets(), "api_key", [KEY]),
    "proxies": lambda: with_secrets(proxy={"https://": f"http://a:{KEY}@p.test"}),
    "pairs of headers": lambda: with_secrets(default_headers=[("X-Secret", KEY)]),
    "a URL": lambda: with_secrets(base_url=httpx.URL(f"https://g.test?k={KEY}")),
    "a dict of a function": lambda: with_secrets(api_key=lambda: {"key": KEY}).invoke("hi"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_no_error_shows_a_secret(refused: str) -> None:
    with pytest.raises((ValueError, TypeError, DashScopeError, OSError)) as caught:
        REFUSED[refused]()
    assert "secret0" not in all_text(caught.value)


def test_what_hides_a_secret_works_as_what_it_hides() -> None:
    def key() -> str:
        return KEY

    model = with_secrets(api_key=key)
    assert model.default_headers == SECRET_HEADERS
    assert model.api_key == key
    assert len({model.api_key, key}) == 1
    assert f"{model.default_headers}{model.api_key}{vars(model)}".count("secret0") == 0


class Heard(BaseTracer):
    """Keeps what LangSmith would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


def test_what_langsmith_is_sent_holds_no_key(service: Scripted) -> None:
    service.answer(answer_of())
    heard = Heard()
    model = service.model(api_key=KEY, default_headers={"X-Secret": KEY})
    model.invoke("hi", config={"callbacks": [heard]}, extra_headers={"X-Trace": "1"})
    (run,) = heard.runs
    assert "secret0" not in run.model_dump_json()


@pytest.mark.parametrize("way", [constructed, copied, assigned])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("proxy", "me:secret0@proxy.test:8080", "proxy is not a proxy URL"),
        ("proxy", b"me:secret0@proxy.test:8080", "proxy is not a proxy URL"),
        ("default_headers", {"A": 5}, "default_headers must be a dict of strings"),
        ("default_headers", {5: "secret0"}, "default_headers must be a dict of strings"),
        ("capabilities", "secret0", "capabilities"),
        ("region", "secret0", "region must be one of cn-beijing"),
        ("workspace_id", "secret0 x", r"workspace_id \(or DASHSCOPE_WORKSPACE_ID\) must be"),
        ("base_url", "https://gateway.test/api/v1?token=secret0", "base_url holds a query"),
        ("model_kwargs", {"api_key": "secret0"}, "model_kwargs must not hold api_key"),
    ],
)
def test_what_construction_refuses_is_refused_whatever_way_it_is_set(
    way: Callable[..., Any], name: str, value: Any, says: str, service: Scripted
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        way(service, name, value)
    assert "secret0" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_model_comes_back_from_a_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-x")
    model = ChatDashScopeDeepSeek(
        model="m",
        timeout=httpx.Timeout(3, read=9),
        capabilities=ModelCapabilities(tools="always", search_missing_in=frozenset({"a"})),
        region="us-east-1",
    )
    allowed: Any = {
        "allowed_objects": [ChatDashScopeDeepSeek],
        "valid_namespaces": ["langchain_dashscope_deepseek"],
        "secrets_from_env": True,
    }
    back = loads(dumps(model), **allowed)
    assert back.timeout == model.timeout
    assert back.capabilities == model.capabilities
    assert back.base_url == model.base_url
    assert load(dumpd(back), **allowed).base_url == model.base_url


def test_no_schema_of_a_configurable_setting_shows_a_header() -> None:
    model = ChatDashScopeDeepSeek(model="m", default_headers={"Authorization": KEY})
    fields = {name: ConfigurableField(id=name) for name in ("default_headers", "api_key", "proxy")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic says that it leaves the value out
        schema = model.configurable_fields(**fields).get_config_jsonschema()
    assert "secret0" not in json.dumps(schema)


def test_an_error_does_not_quote_what_a_proxy_is_told(
    service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = base64.b64encode(b"me:secret0-and-more").decode()
    service.answer({"code": "Denied", "message": f"Basic {told}, secret0-and-more"}, status=403)
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: service.handle_request(request)
    )
    model = ChatDashScopeDeepSeek(model="m", api_key=KEY, proxy="http://me:secret0-and-more@p.test")
    with pytest.raises(DashScopeError, match="Denied") as caught:
        model.invoke("hi")
    assert told not in str(caught.value)
    assert "secret0" not in str(caught.value)


# --- Clients and proxies ---


CLIENTS: dict[str, Callable[..., Any]] = {
    "http_client": httpx.Client, "http_async_client": httpx.AsyncClient
}  # fmt: skip


@pytest.mark.parametrize("setting", NetworkSettings._fields)
@pytest.mark.parametrize("name", CLIENTS)
def test_no_client_goes_around_a_setting_of_connections(name: str, setting: str) -> None:
    client, around = CLIENTS[name](), {setting: NOT_SENT[setting]}
    match = f"{name} has its own network settings, so its calls would ignore {setting}: set"
    with pytest.raises(ValidationError, match=match):
        ChatDashScopeDeepSeek(model="m", **{name: client}, **around)
    with pytest.raises(ValidationError, match=match):
        ChatDashScopeDeepSeek(model="m", **around).model_copy(update={name: client})
    model = ChatDashScopeDeepSeek(model="m", **{name: client})
    with pytest.raises(ValidationError, match=match):
        setattr(model, setting, NOT_SENT[setting])
    setattr(model, name, None)
    setattr(model, setting, NOT_SENT[setting])
    with pytest.raises(ValidationError, match=match):
        setattr(model, name, client)


def test_an_ssl_context_is_shared_and_is_in_no_pickle() -> None:
    context = ssl.create_default_context()
    model = ChatDashScopeDeepSeek(model="m", verify=context)
    assert copy.deepcopy(model).verify is context
    with pytest.raises(TypeError, match="SSL context"):
        pickle.dumps(model)


# --- Base URLs ---


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (" https://gateway.test/api/v1/ \n", "https://gateway.test/api/v1"),
        ("https://gateway.test", "https://gateway.test/api/v1"),
        ("https://gateway.test/", "https://gateway.test/api/v1"),
        ("https://gateway.test/api", "https://gateway.test/api/v1"),
        ("https://gateway.test/dashscope", "https://gateway.test/dashscope/api/v1"),
        ("dashscope.aliyuncs.com", BEIJING),
        ("dashscope.aliyuncs.com/api/v1", BEIJING),
        ("https://dashscope.aliyuncs.com/services/aigc/text-generation/generation", BEIJING),
        ("dashscope.aliyuncs.com:443", "https://dashscope.aliyuncs.com:443/api/v1"),
        (f"{BEIJING}/services/aigc/text-generation/generation", BEIJING),
        (f"{BEIJING}/services/aigc/multimodal-generation/generation/", BEIJING),
        ("https://gateway.test/API/V1", "https://gateway.test/api/v1"),
        ("https://g.test/services/dashscope/api/v1", "https://g.test/services/dashscope/api/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/api/v1"),
    ],
)
def test_a_base_url_is_mended_where_it_is_obvious(given: str, url: str) -> None:
    assert ChatDashScopeDeepSeek(model="m", base_url=given).base_url == url


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gateway.test/api/v1", "must begin with https://"),
        ("https://gateway.test/api/v1?", "holds a query or a fragment"),
        ("https://gateway.test/api/v1#x", "holds a query or a fragment"),
        ("https://me:hush@gateway.test/api/v1", "holds a user or a password"),
        ("ftp://gateway.test/api/v1", "must begin with https://"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "OpenAI-compatible API"),
        ("https://api.deepseek.com", "DeepSeek's own API"),
        ("https://api.deepseek.com/v1", "DeepSeek's own API"),
        ("https://api.openai.com/v1", "OpenAI's protocol"),
        ("https://gateway.test/v1", "write /api/v1 instead"),
        ("https://gateway.test/v1/chat/completions", "OpenAI's protocol"),
        ("https://gateway.test/anthropic", "Anthropic's protocol"),
        ("https://openrouter.ai/api/v1", "OpenAI's protocol"),
        ("https://API.deepseek.com", "DeepSeek's own API"),
        ("https://dashscope.aliyuncs.com/api-ws/v1/inference", "WebSocket"),
        ("https://help.aliyun.com/zh/model-studio", "a page of the console"),
        ("https://https://dashscope.aliyuncs.com/api/v1", "no valid host"),
        ("https://{workspace_id}.cn-beijing.maas.aliyuncs.com", "no valid host"),
        (f"{BEIJING},", "goes on after /api/v1"),
        (f"{BEIJING}\u200b", "no valid host"),
        (f"{BEIJING}/models", "goes on after /api/v1"),
        (f"{BEIJING}/services", "goes on after /api/v1"),
        (f"{BEIJING}/apps/APP/completion", "goes on after /api/v1"),
        ("https://dashscope.aliyuncs.com/api/v2", "another version of the API"),
        ("https:///api/v1", "no valid host"),
        ("https://gateway.test:99999", "no valid host"),
        ("https://a b/api/v1", "no valid host"),
        ("https://[::1/api/v1", "no valid host"),
    ],
)
def test_a_base_url_of_something_else_is_refused(given: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ChatDashScopeDeepSeek(model="m", base_url=given)


def test_white_space_in_the_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", " sk-x\n")
    monkeypatch.setenv("DASHSCOPE_REGION", " us-east-1 ")
    monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", "\tws-1\n")
    model = ChatDashScopeDeepSeek(model="m")
    assert model.base_url == "https://ws-1.us-east-1.maas.aliyuncs.com/api/v1"
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", " https://env.test/api/v1 \n")
    assert ChatDashScopeDeepSeek(model="m").base_url == "https://env.test/api/v1"
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "  ")
    assert ChatDashScopeDeepSeek(model="m").base_url == model.base_url


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "DASHSCOPE_BASE_URL",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "leads to the OpenAI-compatible API",
        ),
        ("DASHSCOPE_REGION", "singapore", "must be one of cn-beijing"),
        ("DASHSCOPE_API_REGION", "singapore", "must be one of cn-beijing"),
    ],
)
def test_what_the_environment_has_wrong_is_named(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=f"{variable}.* {says}"):
        ChatDashScopeDeepSeek(model="m")


# --- Tenants ---


async def test_a_key_may_come_from_a_function(ask: Ask, service: Scripted) -> None:
    """It is asked before each attempt, so that a key that was changed is the one that is sent."""
    service.answer({"code": "Throttling", "message": ""}, status=429, headers={"retry-after": "0"})
    service.answer(answer_of())
    keys = iter(["sk-1", SecretStr("sk-2")])
    model = service.model(api_key=lambda: next(keys), max_retries=1)
    await ask(model, "hi")
    sent = [request.headers["authorization"] for request in service.requests]
    assert sent == ["Bearer sk-1", "Bearer sk-2"]


async def test_a_key_may_have_to_be_awaited(service: Scripted) -> None:
    async def key() -> str:
        await asyncio.sleep(0)
        return "sk-1"

    service.answer(answer_of())
    model = service.model(api_key=key)
    await model.ainvoke("hi")
    assert [chunk async for chunk in model.astream("hi")]
    assert {request.headers["authorization"] for request in service.requests} == {"Bearer sk-1"}
    with warnings.catch_warnings(), pytest.raises(DashScopeInputError, match="call ainvoke or"):  # noqa: PT012
        warnings.simplefilter("error")  # a coroutine that nobody awaited
        model.invoke("hi")
    assert len(service.requests) == 2


def _slow_key() -> str:
    time.sleep(30)
    return "sk-1"


async def _slow_async_key() -> str:
    await asyncio.sleep(30)
    return "sk-1"


BOUNDS: dict[str, tuple[dict[str, Any], type[DashScopeError]]] = {
    "timeout": ({"timeout": 0.2}, DashScopeTimeoutError),
    "max_seconds": ({"max_seconds": 0.2}, DashScopeDeadlineError),
}


@pytest.mark.parametrize("bound", BOUNDS)
async def test_a_function_that_gives_no_key_ends_with_the_time_of_the_call(
    bound: str, ask: Ask, service: Scripted
) -> None:
    settings, error = BOUNDS[bound]
    began = time.monotonic()
    with pytest.raises(error):
        await ask(service.model(api_key=_slow_key, **settings), "hi")
    if ask in (STYLES["ainvoke"], STYLES["astream"]):
        with pytest.raises(error):
            await ask(service.model(api_key=_slow_async_key, **settings), "hi")
    assert time.monotonic() - began < 20
    assert service.requests == []


async def test_a_function_that_gives_a_key_sees_the_context_of_the_call(
    ask: Ask, service: Scripted
) -> None:
    tenant: ContextVar[str] = ContextVar("tenant")
    service.answer(answer_of())
    tenant.set("sk-of-this-request")
    await ask(service.model(api_key=tenant.get), "hi")
    assert service.requests[-1].headers["authorization"] == "Bearer sk-of-this-request"


async def test_what_a_function_gives_must_be_a_key(ask: Ask, service: Scripted) -> None:
    with pytest.raises(DashScopeAuthenticationError, match="no API key"):
        await ask(service.model(api_key=lambda: ""), "hi")
    with pytest.raises(DashScopeAuthenticationError, match="holds invalid characters"):
        await ask(service.model(api_key=lambda: "sk-a b"), "hi")

    def broken() -> str:
        raise OSError("no vault")

    with pytest.raises(OSError, match="no vault"):
        await ask(service.model(api_key=broken), "hi")
    assert service.requests == []


async def test_headers_may_be_given_for_one_call(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model(default_headers={"X-Mine": "a", "X-Other": "b"})
    given = {"x-mine": "c", "X-Trace": "1", "Idempotency-Key": "7", "X-Author": "me"}
    await ask(model, "hi", extra_headers=given)
    headers = service.requests[-1].headers
    assert [headers.get_list(name) for name in ("x-mine", "x-other", "x-trace")] == [
        ["c"], ["b"], ["1"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Proxy-Authorization", "cookie", "X-API-Key", "api-key", "X-Auth"),
        *(
            *("X-JWT", "X-Key", "X-Pwd", "X-Private-Key", "X-Session-Id"),
            "X-DashScope-ApiKey",
            "X-Api-Token",
            "X-Access-Token",
            "X-Secret",
            "Ocp-Apim-Subscription-Key",
        ),
    ],
)
async def test_a_secret_is_no_header_of_one_call(name: str, ask: Ask, service: Scripted) -> None:
    with pytest.raises(DashScopeInputError, match="tracers record") as caught:
        await ask(service.model(), "hi", extra_headers={name: KEY})
    assert "secret0" not in str(caught.value)
    with pytest.raises(DashScopeInputError, match="extra_headers must be a dict of strings"):
        await ask(service.model(), "hi", extra_headers={"a": 1})
    assert service.requests == []


@pytest.mark.parametrize("name", ["api_key", "dashscope_api_key", "http_client"])
async def test_a_key_is_nothing_for_one_call(name: str, ask: Ask, service: Scripted) -> None:
    with pytest.raises(DashScopeInputError, match=f"{name} cannot be set for one call"):
        await ask(service.model(), "hi", **{name: KEY})


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": KEY},
        {"openai_api_key": KEY},
        {"extra_headers": {"X-DashScope-ApiKey": KEY}},
        {"temperature": 0.5, "token": KEY},
        {"model_kwargs": {"api_key": KEY}},
        {"model_kwargs": {"headers": {"Authorization": KEY}}},
    ],
)
async def test_no_tracer_hears_of_a_secret_that_a_call_refuses(
    given: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    """Core would make the run first, with all that was given."""
    heard = Heard()
    model = service.model(callbacks=[heard])
    for asks in (model, model.bind(**given)):
        with pytest.raises(DashScopeInputError):
            await ask(asks, "hi", **(given if asks is model else {}))
    assert heard.runs == []


def test_a_model_for_a_tenant_asks_with_its_key_and_in_its_place(
    service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", "ws-env")
    service.answer(answer_of())
    model = service.model(region="cn-beijing", workspace_id="ws-mine")
    tenant = model.for_tenant(api_key="sk-theirs", region="ap-southeast-1")
    tenant.invoke("hi")
    request = service.requests[-1]
    assert request.url.host == "dashscope-intl.aliyuncs.com"
    assert request.headers["authorization"] == "Bearer sk-theirs"
    assert "x-dashscope-workspace" not in request.headers
    model.for_tenant(api_key="sk-theirs", workspace_id="ws-theirs").invoke("hi")
    assert service.requests[-1].url.host == "ws-theirs.cn-beijing.maas.aliyuncs.com"
    model.invoke("hi")
    assert service.requests[-1].url.host == "ws-mine.cn-beijing.maas.aliyuncs.com"
    field = ConfigurableField(id="it")
    configured: Any = tenant.configurable_fields(seed=field).with_config(configurable={"it": 1})
    configured.invoke("hi")
    request = service.requests[-1]
    assert request.url.host == "dashscope-intl.aliyuncs.com"
    assert "x-dashscope-workspace" not in request.headers


@pytest.mark.parametrize("name", ["Authorization", "x-dashscope-workspace", "X-API-Key"])
def test_no_header_of_an_account_goes_along_to_a_tenant(name: str, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model(default_headers={name: "mine", "X-Trace": "1"})
    changes: list[dict[str, Any]] = [
        {"api_key": "sk-theirs"},
        {"workspace_id": "theirs"},
        {"region": "us-east-1"},
    ]
    for change in changes:
        with pytest.raises(DashScopeInputError, match=f"default_headers holds {name}"):
            model.for_tenant(**change)
    model.for_tenant(api_key="sk-theirs", default_headers={}).invoke("hi")
    sent = service.requests[-1].headers
    assert sent["authorization"] == "Bearer sk-theirs"
    assert "mine" not in sent.values()
    other = service.model(default_headers={"X-Trace": "1"}).for_tenant(api_key="sk-theirs")
    other.invoke("hi")
    assert service.requests[-1].headers["x-trace"] == "1"


@pytest.mark.parametrize("way", ["constructed", "assigned", "copied", "tenant"])
async def test_no_header_of_an_account_goes_along_with_a_configured_key(
    way: str, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    headers = {"Authorization": "mine", "X-Trace": "1"}
    model = service.model(default_headers=headers if way == "constructed" else None)
    if way == "assigned":
        model.default_headers = headers
    elif way == "copied":
        model = model.model_copy(update={"default_headers": headers})
    elif way == "tenant":
        model = model.for_tenant(api_key="sk-other", default_headers=headers)
    own = model.api_key
    configurable: Any = model.configurable_fields(
        api_key=ConfigurableField(id="key"), seed=ConfigurableField(id="seed")
    )
    with pytest.raises(ValueError, match="default_headers holds Authorization"):
        await ask(configurable.with_config(configurable={"key": "sk-theirs"}), "hi")
    assert service.requests == []
    await ask(configurable.with_config(configurable={"key": own, "seed": 1}), "hi")
    assert len(service.requests) == 1


async def test_other_headers_go_along_with_a_configured_key(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model(default_headers={"X-Trace": "1"})
    configurable: Any = model.configurable_fields(api_key=ConfigurableField(id="key"))
    await ask(configurable.with_config(configurable={"key": "sk-theirs"}), "hi")
    sent = service.requests[-1].headers
    assert (sent["authorization"], sent["x-trace"]) == ("Bearer sk-theirs", "1")


@pytest.mark.parametrize("name", ["api_key", "workspace_id", "base_url", "headers"])
def test_no_tenant_gets_what_was_cached_for_another(name: str, service: Scripted) -> None:
    model = service.model(cache=InMemoryCache(), streaming=False)
    for tenant in ("a", "b"):
        ways: dict[str, dict[str, Any]] = {
            "api_key": {"api_key": f"sk-{tenant}"},
            "workspace_id": {"workspace_id": tenant},
            "base_url": {"base_url": f"https://{tenant}.test/api/v1"},
            "headers": {"default_headers": {"Authorization": tenant}},
        }
        service.answers.clear()
        service.answer(answer_of(f"for {tenant}"))
        assert model.for_tenant(**ways[name]).invoke("hi").text == f"for {tenant}"


@pytest.mark.parametrize("of_the_environment", [True, False])
@pytest.mark.parametrize("given", [{"api_key": "sk-b"}, {"workspace_id": "ws-b"}])
def test_no_workspace_in_a_host_goes_along_to_a_tenant(
    given: dict[str, Any], of_the_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "https://ws-a.cn-beijing.maas.aliyuncs.com/api/v1"
    if of_the_environment:
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", here)
    model = ChatDashScopeDeepSeek(model="m", base_url=None if of_the_environment else here)
    assert model.base_url == here
    with pytest.raises(ValueError, match="names its account's workspace: pass base_url to"):
        model.for_tenant(**given)
    with_port = ChatDashScopeDeepSeek(model="m", base_url=here.replace(".com/", ".com:443/"))
    with pytest.raises(ValueError, match="names its account's workspace: pass base_url to"):
        with_port.for_tenant(**given)
    there = "https://ws-b.cn-beijing.maas.aliyuncs.com/api/v1"
    assert model.for_tenant(**given, base_url=there).base_url == there


def test_no_limiter_of_an_account_goes_along_to_a_tenant() -> None:
    limiter, heard = TokenRateLimiter(requests_per_minute=60), Heard()
    model = ChatDashScopeDeepSeek(model="m", rate_limiter=limiter, callbacks=[limiter, heard])
    tenant = model.for_tenant(api_key="sk-theirs")
    assert (tenant.rate_limiter, tenant.callbacks) == (None, [heard])
    assert (model.rate_limiter, model.callbacks) == (limiter, [limiter, heard])


def test_what_is_added_to_a_tenants_settings_is_its_own(service: Scripted) -> None:
    model = service.model(
        default_headers={"X-A": "1"}, model_kwargs={"a": 1}, stop=["x"],
        search_options={"sites": ["a"]},
    )  # fmt: skip
    tenant: Any = model.for_tenant(api_key="sk-theirs")
    tenant.search_options["sites"].append("b")
    assert model.search_options == {"sites": ["a"]}
    tenant.default_headers["X-User"] = "tenant"
    tenant.model_kwargs["q"] = 2
    tenant.stop.append("y")
    assert (model.default_headers, model.model_kwargs, model.stop) == (
        {"X-A": "1"}, {"a": 1}, ["x"],
    )  # fmt: skip
    assert "tenant" not in f"{tenant.default_headers}"


def test_a_tenant_that_cannot_be_is_refused() -> None:
    model = ChatDashScopeDeepSeek(model="m", api_key="sk-x")
    with pytest.raises(ValueError, match="region must be one of cn-beijing"):
        model.for_tenant(region="mars")
    with pytest.raises(ValidationError, match="X-Bad"):
        model.for_tenant(default_headers={"X-Bad": "\n"})


@pytest.mark.parametrize(
    ("settings", "grow"),
    [
        ({"stop": ["END"]}, lambda model: model.stop.append("STOP")),
        (
            {"model_kwargs": {"no_such_parameter": 1}},
            lambda model: model.model_kwargs.update(no_such_parameter=2),
        ),
        ({"search_options": {}}, lambda model: model.search_options.update(forced_search=True)),
        ({}, lambda model: model.model_kwargs.update(no_such_parameter=2)),
    ],
)
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_cache_sees_a_setting_that_grew(
    settings: dict[str, Any], grow: Callable[[Any], None], style: str, service: Scripted
) -> None:
    service.answer(answer_of())
    model = service.model(cache=InMemoryCache(), **settings)
    for _ in range(2):
        await STYLES[style](model, "hi")
    assert len(service.requests) == 1
    grow(model)
    for _ in range(2):
        await STYLES[style](model, "hi")
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"temperature": 0.5}, 2),
        ({"base_url": "https://other.test/api/v1"}, 2),
        ({"workspace_id": "ws-1"}, 2),
        ({"api_key": "sk-other"}, 1),
        ({"default_headers": {"x-a": "1"}}, 1),
    ],
)
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_cache_tells_settings_and_places_apart_but_no_keys(
    settings: dict[str, Any], asked: int, style: str, service: Scripted
) -> None:
    service.answer(answer_of())
    cache = InMemoryCache()
    await STYLES[style](service.model(cache=cache), "hi")
    await STYLES[style](service.model(cache=cache, **settings), "hi")
    assert len(service.requests) == asked
