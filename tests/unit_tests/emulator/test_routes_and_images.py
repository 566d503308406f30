"""The emulator's two routes: which model is on which, what contents hold, and images."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek.capabilities import MODELS, ModelCapabilities, Route
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator import asking
from tests.unit_tests.emulator.asking import CALLED, HELLO, R1, RESULT, V4, V31, V32, WEATHER

TEXT: Route = "text-generation"
MULTIMODAL: Route = "multimodal-generation"
ROUTES = (TEXT, MULTIMODAL)
V41 = "deepseek-v4.1-flash"
UNKNOWN = "vanchin/deepseek-v4.1-flash"
URL_ERROR = (
    "url error, please check url！ For details, see: "
    "https://help.aliyun.com/zh/model-studio/error-code#error-url"
)
EMPTY = "Role must be user or assistant and Content length must be greater than 0"
REPLAY = "The `reasoning_content` in the thinking mode must be passed back to the API."
URL = "https://example.com/cat.png"
DATA_URI = f"data:image/png;base64,{b64encode(b'png').decode()}"


class Asked(asking.Asked):
    """What came back, on either route."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [choice["message"] for choice in self.choices]

    @property
    def text(self) -> str:
        return "".join(map(text_of, self.messages))

    @property
    def reasoning(self) -> str:
        return self.joined("reasoning_content")


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def in_parts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write messages as the multimodal route takes them."""
    return [
        {**m, "content": [{"text": m["content"]}] if m["content"] or m["role"] == "tool" else []}
        if isinstance(m["content"], str)
        else m
        for m in messages
    ]


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


LOOK = user({"image": URL}, {"text": "What is this?"})


class Client:
    """The least client that can talk to both routes."""

    def __init__(self, emulator: DashScopeEmulator, http: httpx.Client, route: Route) -> None:
        self.emulator, self.http, self.route = emulator, http, route

    def post(
        self,
        messages: Any = None,
        model: str = V41,
        *,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> httpx.Response:
        if messages is None:
            messages = HELLO
            if self.route == MULTIMODAL:
                messages = in_parts(HELLO)
        headers = {"Authorization": f"Bearer {self.emulator.api_key}", **(headers or {})}
        if stream:
            headers["X-DashScope-SSE"] = "enable"
            parameters = {"incremental_output": True, **parameters}
        body = {"model": model, "input": {"messages": messages}, "parameters": parameters}
        url = f"{self.emulator.base_url}/services/aigc/{self.route}/generation"
        return self.http.post(url, headers=headers, json=body)

    def ask(self, *args: Any, **kwargs: Any) -> Asked:
        return Asked(self.post(*args, **kwargs))

    def refused(self, *args: Any, **kwargs: Any) -> str:
        asked = self.ask(*args, **kwargs)
        assert (asked.status, asked.code) == (400, "InvalidParameter")
        return str(asked.error)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


MakeClient = Callable[..., Client]


@pytest.fixture
def make(http: httpx.Client) -> Iterator[MakeClient]:
    emulators = []

    def make(route: Route = MULTIMODAL, **kwargs: Any) -> Client:
        emulators.append(DashScopeEmulator(**kwargs).start())
        return Client(emulators[-1], http, route)

    yield make
    for emulator in emulators:
        emulator.stop()


@pytest.fixture
def client(make: MakeClient) -> Client:
    return make()


@pytest.fixture
def emulator(client: Client) -> DashScopeEmulator:
    return client.emulator


# --- which model is on which route ---


def test_a_model_is_on_the_first_route_of_its_row_only(make: MakeClient) -> None:
    clients = {route: make(route) for route in ROUTES}

    for model, row in MODELS.items():
        served = {
            route: c.ask(model=model, stream=True).code is None for route, c in clients.items()
        }
        assert served == {route: route == row.routes[0] for route in ROUTES}, model


@pytest.mark.parametrize("bound", [TEXT, MULTIMODAL, None])
@pytest.mark.parametrize("model", [V41, V4, UNKNOWN, "no-such-model"])
def test_a_model_can_be_bound_otherwise_or_to_neither(
    make: MakeClient, model: str, bound: Route | None
) -> None:
    for route in ROUTES:
        client = make(route, routes={model: bound}, models={"no-such-model": ModelCapabilities()})
        asked = client.ask(model=model)
        assert (asked.status, asked.error) == ((200, None) if route == bound else (400, URL_ERROR))


def test_a_row_that_was_added_brings_its_routes(make: MakeClient) -> None:
    row = ModelCapabilities(routes=(MULTIMODAL,))

    assert make(models={"mine": row}).ask(model="mine").status == 200
    assert make(TEXT, models={"mine": row}).refused(model="mine") == URL_ERROR


def test_a_dated_name_is_bound_as_its_row_and_not_as_its_name_without_the_date(
    make: MakeClient,
) -> None:
    assert make(routes={V41: TEXT}).ask(model=f"{V41}-1010").status == 200


def test_the_wrong_route_is_refused_in_json(client: Client) -> None:
    asked = client.ask(model=V4)

    assert (asked.status, asked.response.headers["content-type"]) == (400, "application/json")
    request_id = asked.response.headers["x-request-id"]
    error = {"code": "InvalidParameter", "message": URL_ERROR, "request_id": request_id}
    assert asked.body == error


def test_the_wrong_route_of_a_stream_is_refused_in_an_event_under_200(client: Client) -> None:
    asked = client.ask(model=V4, stream=True)

    request_id = asked.response.headers["x-request-id"]
    assert asked.status == 200
    assert asked.response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert asked.response.text == (
        "id:1\nevent:error\n:HTTP_STATUS/400\n"
        f'data:{{"code":"InvalidParameter","message":"{URL_ERROR}","request_id":"{request_id}"}}\n\n'
    )


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_on_the_wrong_route_uses_up_no_script(
    client: Client, emulator: DashScopeEmulator, stream: bool
) -> None:
    emulator.reply("kept")
    emulator.fail("Throttling", status=429)

    assert client.ask(model=V4, stream=stream).error == URL_ERROR
    assert emulator.pending == 2
    assert len(emulator.requests) == 1
    client.route = TEXT
    assert client.ask(model=V4, stream=stream).text == "kept"


def test_the_key_is_checked_before_the_route(client: Client) -> None:
    asked = client.ask(model=V4, headers={"Authorization": "Bearer sk-invalid"})

    assert (asked.status, asked.code) == (401, "InvalidApiKey")


@pytest.mark.parametrize("route", ROUTES)
def test_an_unknown_model_or_body_is_refused_as_on_any_route(
    make: MakeClient, route: Route
) -> None:
    client = make(route)
    url = f"{client.emulator.base_url}/services/aigc/{route}/generation"

    assert client.ask(model="no-such-model", stream=True).code == "ModelNotFound"
    answer = client.http.post(url, headers={"Authorization": "Bearer sk-x"}, content="{")
    assert answer.json()["message"].startswith("Required body invalid")


def test_a_route_that_the_service_does_not_have_cannot_be_bound() -> None:
    routes: Any = {V41: "image-generation"}

    with pytest.raises(ValueError, match="image-generation"):
        DashScopeEmulator(routes=routes)


# --- contents ---


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (HELLO, "Input should be a valid list: input.messages.0.content"),
        ([LOOK, *HELLO], "Input should be a valid list: input.messages.1.content"),
        ([user()], EMPTY),
        ([user({"text": ""})], EMPTY),
        ([], EMPTY),
        ([user("Hi")], "input.messages.0.content.0"),
        ([user({"text": "Hi"}, {})], "input.messages.0.content.1"),
        ([user({"text": 1})], 'Input should be {"text": str} or {"image": str}'),
        ([user({"image": None})], 'Input should be {"text": str} or {"image": str}'),
        ([user({"image": {"url": URL}})], 'Input should be {"text": str} or {"image": str}'),
        ([user({"type": "image_url", "image_url": {"url": URL}})], 'Input should be {"text": str}'),
        ([user({"type": "text", "text": "Hi"})], 'Input should be {"text": str}'),
        ([user({"type": "image", "image": URL})], 'Input should be {"text": str}'),
        ([user({"text": "Hi", "image": URL})], 'Input should be {"text": str}'),
        ([user({"video": URL})], 'Input should be {"text": str}'),
        ([user({"text": "Hi", "max_pixels": 9})], 'Input should be {"text": str}'),
        ([user({"image": URL, "detail": "low"})], 'Input should be {"text": str}'),
        ([user({"image": URL, "max_pixels": 0})], "input.messages.0.content.0.max_pixels"),
        ([user({"image": URL, "min_pixels": "9"})], "input.messages.0.content.0.min_pixels"),
        ([user({"image": URL, "min_pixels": True})], "input.messages.0.content.0.min_pixels"),
        ([user({"text": "Hi", "cache_control": 1})], "input.messages.0.content.0.cache_control"),
        ([{"role": "system", "content": []}, LOOK], EMPTY),
        ([{"role": "system", "content": [{"image": URL}]}, LOOK], 'not "system"'),
        ([LOOK, {"role": "assistant", "content": []}, LOOK], EMPTY),
        ([LOOK, {"role": "assistant", "content": [{"image": URL}]}, LOOK], 'not "assistant"'),
        ([LOOK, {**CALLED, "content": []}, {**RESULT, "content": []}], EMPTY),
        ([LOOK, {**CALLED, "content": []}, {**RESULT, "content": [{"image": URL}]}], 'not "tool"'),
        ([LOOK, {**CALLED, "content": ""}, RESULT], "Input should be a valid list"),
        ([LOOK, {**CALLED, "content": []}, LOOK], "did not have response messages: call_1"),
        ([LOOK, {**RESULT, "content": [{"text": "x"}]}], 'messages with role "tool" must be'),
    ],
)
def test_contents_are_lists_of_texts_and_images(client: Client, messages: Any, error: str) -> None:
    assert error in client.refused(messages, enable_thinking=False)


def test_what_the_recordings_send_is_accepted(client: Client) -> None:
    messages = [
        {"role": "system", "content": [{"text": "Be brief."}]},
        LOOK,
        {**CALLED, "content": [], "reasoning_content": ""},
        {**RESULT, "content": [{"text": "It is sunny."}]},
        {"role": "assistant", "content": [{"text": "Sunny."}], "reasoning_content": ""},
        user({"text": "And", "cache_control": {"type": "ephemeral"}}, {"text": "now?"}),
    ]

    asked = client.ask(messages, tools=[WEATHER], result_format="message")

    assert "You said: “And\nnow?”. I was sent 1 image." in asked.text


def test_a_result_of_a_tool_may_be_empty(client: Client) -> None:
    messages = [LOOK, {**CALLED, "content": []}, {**RESULT, "content": [{"text": ""}]}]

    assert client.ask(messages, enable_thinking=False).status == 200


@pytest.mark.parametrize("image", [URL, "HTTP://example.com/a.gif?b=c", DATA_URI])
def test_an_image_is_a_url_or_data(client: Client, image: str) -> None:
    options = {"min_pixels": 1, "max_pixels": 9, "cache_control": {"type": "ephemeral"}}

    assert client.ask([user({"image": image, **options})]).status == 200


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "heic"])
def test_data_may_be_of_these_kinds(client: Client, kind: str) -> None:
    assert client.ask([user({"image": DATA_URI.replace("png", kind)})]).status == 200


@pytest.mark.parametrize(
    ("image", "error"),
    [
        ("", "The provided URL does not appear to be valid."),
        ("cat.png", "The provided URL does not appear to be valid."),
        ("file:///cat.png", "The provided URL does not appear to be valid."),
        ("https://", "The provided URL does not appear to be valid."),
        ("https://example.com/a cat.png", "The provided URL does not appear to be valid."),
        (DATA_URI.partition(",")[2], "The provided URL does not appear to be valid."),
        (DATA_URI.replace("png", "svg+xml"), "The image format is illegal and cannot be opened"),
        (DATA_URI.replace("png", "jpg"), "The image format is illegal and cannot be opened"),
        (DATA_URI.replace(";base64", ""), "The image format is illegal and cannot be opened"),
        ("data:image/png;base64,", "The image format is illegal and cannot be opened"),
        ("data:image/png;base64,????", "The image format is illegal and cannot be opened"),
        ("data:image/png;base64,cG*5n", "The image format is illegal and cannot be opened"),
        ("data:image/png;base64,cG5", "The image format is illegal and cannot be opened"),
        ("data:image/png;base64,猫", "The image format is illegal and cannot be opened"),
    ],
)
def test_anything_else_is_no_image(client: Client, image: str, error: str) -> None:
    refusal = client.refused([user({"image": image})])

    assert refusal.startswith(error)
    assert not image or image not in refusal


def test_an_oss_url_needs_the_header_that_resolves_it(client: Client) -> None:
    messages = [user({"image": "oss://dashscope-instant/cat.png"})]

    assert "X-DashScope-OssResourceResolve" in client.refused(messages)
    resolve = {"X-DashScope-OssResourceResolve": "enable"}
    assert client.ask(messages, headers=resolve).status == 200
    assert client.ask([LOOK], headers=resolve).status == 200


@pytest.mark.parametrize(("images", "status"), [(True, 200), (None, 200), (False, 400)])
def test_a_model_that_is_known_to_read_no_images_refuses_them(
    make: MakeClient, images: bool | None, status: int
) -> None:
    client = make(models={"mine": ModelCapabilities(images=images, routes=(MULTIMODAL,))})

    asked = client.ask([LOOK], "mine")

    assert asked.status == status
    assert asked.error == (None if status == 200 else "This model does not support image input.")
    assert client.ask(model="mine").status == 200


def test_on_the_text_route_a_content_is_a_string(make: MakeClient) -> None:
    client = make(TEXT, routes={V41: TEXT})

    assert client.refused([LOOK]) == "input content must be a string."
    assert client.ask().status == 200


# --- answers ---


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([{"image": URL}], "I was sent 1 image."),
        ([{"image": URL}, {"image": DATA_URI}, {"text": "Compare"}], "I was sent 2 images."),
        ([{"image": URL}, {"text": "这是什么？"}], "我收到了 1 张图片。"),
    ],
)
def test_an_answer_says_how_many_images_there_were(
    client: Client, parts: list[Any], said: str
) -> None:
    assert said in client.ask([user(*parts)]).text
    assert said in client.ask([user(*parts)], stream=True).text


def test_an_answer_to_texts_speaks_of_no_image(client: Client) -> None:
    assert "image" not in client.ask().text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("question", "parameters"),
    [
        ("Hello", {}),
        ("Hello", {"enable_thinking": False}),
        ("Hello", {"max_tokens": 60}),
        ("杭州和上海现在的天气如何", {"tools": [WEATHER], "parallel_tool_calls": True}),
        ("A joke as JSON", {"enable_thinking": False, "response_format": {"type": "json_object"}}),
        ("Hello", {"enable_search": True, "stop": "nothing"}),
    ],
)
def test_both_routes_answer_alike(
    make: MakeClient, question: str, parameters: dict[str, Any], stream: bool
) -> None:
    messages = [{"role": "user", "content": question}]
    by_text = make(TEXT, routes={V41: TEXT}).ask(messages, stream=stream, **parameters)
    by_parts = make().ask(in_parts(messages), stream=stream, **parameters)

    assert by_parts.status == 200
    assert (by_parts.text, by_parts.reasoning) == (by_text.text, by_text.reasoning)
    assert by_parts.calls == by_text.calls
    details = {"input_tokens_details": {"text_tokens": by_text.usage["input_tokens"]}}
    assert by_parts.usage == by_text.usage | details
    for message in by_parts.messages:
        text = text_of(message)
        assert message["content"] == ([{"text": text}] if text else [])
        assert isinstance(message.get("reasoning_content", ""), str)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
        ({"tools": []}, "tools must be a list"),
        ({"enable_thinking": False, "response_format": {"type": "json_object"}}, "the word 'json'"),
    ],
)
def test_both_routes_refuse_alike(make: MakeClient, parameters: dict[str, Any], error: str) -> None:
    for client in (make(), make(TEXT, routes={V41: TEXT})):
        assert error in client.refused(**parameters)


def test_a_stream_with_an_image_has_the_bytes_of_the_service(client: Client) -> None:
    client.emulator.reply(pieces=["你", "好"], reasoning="嗯")

    asked = client.ask([LOOK], stream=True)

    request_id = asked.response.headers["x-request-id"]
    entered = asked.usage["input_tokens"]
    said = [
        ("[]", "嗯", "null", 1, 1),
        ('[{"text":"你"}]', "", "null", 2, 1),
        ('[{"text":"好"}]', "", "null", 3, 1),
        ("[]", "", "stop", 3, 1),
    ]
    assert asked.response.text == "".join(
        f"id:{number}\nevent:result\n:HTTP_STATUS/200\n"
        f'data:{{"output":{{"choices":[{{"message":{{"content":{content},'
        f'"reasoning_content":"{reasoning}","role":"assistant"}},"finish_reason":"{reason}"}}]}},'
        f'"usage":{{"total_tokens":{entered + tokens},"output_tokens":{tokens},'
        f'"input_tokens":{entered},"image_tokens":384,'
        f'"input_tokens_details":{{"image_tokens":384,"text_tokens":{entered - 384}}},'
        f'"output_tokens_details":{{"reasoning_tokens":{thought}}},'
        f'"prompt_tokens_details":{{"cached_tokens":0}}}},"request_id":"{request_id}"}}\n\n'
        for number, (content, reasoning, reason, tokens, thought) in enumerate(said, 1)
    )


def test_a_whole_answer_is_a_list_as_well(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply("你好", reasoning="嗯")
    emulator.reply(tool_calls=[{"name": "f", "arguments": {}, "id": "call_x"}])

    said, called = (client.ask([LOOK]).messages[0] for _ in range(2))

    content = [{"text": "你好"}]
    assert said == {"role": "assistant", "content": content, "reasoning_content": "嗯"}
    assert called["content"] == []
    assert called["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


def test_packets_of_a_tool_call_have_an_empty_list(client: Client) -> None:
    messages = [user({"image": URL}, {"text": "weather in Paris"})]

    asked = client.ask(messages, stream=True, tools=[WEATHER])

    assert asked.calls == [("get_weather", {"location": "Paris"})]
    assert [message["content"] for message in asked.messages] == [[]] * len(asked.messages)


def test_without_incremental_output_every_packet_repeats_all_so_far(client: Client) -> None:
    client.emulator.reply(pieces=["a", "b"])

    asked = client.ask([LOOK], stream=True, enable_thinking=False, incremental_output=False)

    contents = [message["content"] for message in asked.messages]
    assert contents == [[{"text": "a"}], [{"text": "ab"}], [{"text": "ab"}]]


def test_images_count_as_input(client: Client) -> None:
    without = client.ask([user({"text": "Hi"})]).usage
    usage = client.ask([user({"image": URL}, {"image": URL}, {"text": "Hi"})]).usage

    texts = without["input_tokens"]
    assert without["input_tokens_details"] == {"text_tokens": texts}
    assert "image_tokens" not in without
    assert usage["image_tokens"] == 768
    assert usage["input_tokens_details"] == {"image_tokens": 768, "text_tokens": texts}
    assert usage["input_tokens"] == texts + 768
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_images_count_against_the_longest_input(make: MakeClient) -> None:
    row = ModelCapabilities(max_input_tokens=500, routes=(MULTIMODAL,))
    client = make(models={"mine": row})

    assert client.ask([LOOK], "mine").status == 200
    error = client.refused([user(*[{"image": URL}] * 2)], "mine")
    assert error == "Range of input length should be [1, 500]"


def test_the_same_image_is_cached_and_another_is_not(client: Client) -> None:
    def cached(image: str) -> int:
        usage = client.ask([user({"image": image}, {"text": "word " * 800})]).usage
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert [cached(image) for image in (URL, DATA_URI, URL)] == [0, 0, 1_384]


def test_the_request_is_remembered_as_it_came(client: Client, emulator: DashScopeEmulator) -> None:
    client.post([LOOK])

    assert emulator.requests[0].body["input"]["messages"] == [LOOK]


# --- scripts speak the shape of the route ---


@pytest.mark.parametrize("route", ROUTES)
def test_cut_and_failing_streams_have_the_shape_of_the_route(
    make: MakeClient, route: Route
) -> None:
    client = make(route, routes={V41: route})
    client.emulator.fail("Throttling", status=429, after=1)
    client.emulator.cut(1, text="Hi", how="clean")

    failing, cut = client.ask(stream=True), client.ask(stream=True)

    piece, text = "piece 1 ", "Hi"
    first = failing.packets[0]["output"]["choices"][0]["message"]["content"]
    assert (first, cut.messages[0]["content"]) == (
        (piece, text) if route == TEXT else ([{"text": piece}], [{"text": text}])
    )
    assert failing.code == "Throttling"


@pytest.mark.parametrize("route", ROUTES)
def test_stalled_streams_have_the_shape_of_the_route(make: MakeClient, route: Route) -> None:
    client = make(route, routes={V41: route})
    client.emulator.stall(1, 0.01)
    url = f"{client.emulator.base_url}/services/aigc/{route}/generation"
    headers = {"Authorization": "Bearer sk-x", "X-DashScope-SSE": "enable"}
    body = {"model": V41, "input": {"messages": []}}

    with client.http.stream("POST", url, headers=headers, json=body) as response:
        chunks = response.iter_text()
        first = next(chunks)
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)

    content = '"piece 1 "' if route == TEXT else '[{"text":"piece 1 "}]'
    assert f'"content":{content}' in first


# --- reasoning_effort ---


def test_a_documented_effort_is_accepted_with_its_aliases_and_numbers(make: MakeClient) -> None:
    clients = {V41: make(), V4: make(TEXT), "deepseek-v4-flash-0731": make(TEXT)}
    known: dict[str, list[Any]] = {
        V41: ["low", "high", "max", "minimal", "medium", "xhigh", "ultra", 1, 50, 100],
        V4: ["high", "max", "low", "medium", "xhigh"],
        "deepseek-v4-flash-0731": ["low", "high", "max", "medium", "xhigh"],
    }

    for model, efforts in known.items():
        for effort in efforts:
            assert clients[model].ask(model=model, reasoning_effort=effort).status == 200, effort


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        (V41, 0), (V41, 101), (V41, True), (V41, 50.0), (V41, "50"), (V41, "most"), (V41, ["low"]),
        (V4, 50), (V4, "ultra"), (V4, "minimal"),
    ],
)  # fmt: skip
def test_another_effort_is_refused_with_a_list_of_those_that_are_known(
    make: MakeClient, model: str, effort: Any
) -> None:
    client = make(MODELS[model].routes[0])

    error = client.refused(model=model, reasoning_effort=effort)

    assert error == f"reasoning_effort must be one of {MODELS[model].efforts_text}."


def test_where_no_effort_is_documented_any_is_accepted(make: MakeClient) -> None:
    for effort in ("most", 7, "high"):
        assert make(TEXT).ask(model=UNKNOWN, reasoning_effort=effort).status == 200


# --- reasoning in the history ---

ASK, BYE = HELLO[0], {"role": "user", "content": "Bye"}
SYSTEM = {"role": "system", "content": "Be brief."}
SAID = {"role": "assistant", "content": "It is sunny."}
THOUGHT = {"reasoning_content": "Hm."}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([ASK, CALLED, RESULT], id="under way"),
        pytest.param([ASK, CALLED | THOUGHT, RESULT, CALLED, RESULT], id="second call"),
        pytest.param([ASK, CALLED | THOUGHT, RESULT, SAID, BYE], id="final answer"),
        pytest.param([ASK, CALLED, RESULT, SAID | THOUGHT, BYE], id="call of an earlier turn"),
        pytest.param(
            [ASK, CALLED, RESULT, SAID, BYE, SAID, BYE], id="a turn without calls after it"
        ),
        pytest.param(
            [ASK, CALLED | THOUGHT, RESULT, SYSTEM, SAID, BYE], id="a system message ends no turn"
        ),
        pytest.param([SAID, CALLED | THOUGHT, RESULT], id="before any question"),
    ],
)
def test_reasoning_is_missed_in_every_turn_that_called_a_tool(
    make: MakeClient, messages: list[dict[str, Any]], route: Route
) -> None:
    if route == MULTIMODAL:
        messages = in_parts(messages)
    client = make(route, routes={V41: route})

    assert client.refused(messages, tools=[WEATHER]) == REPLAY
    assert client.ask(messages, tools=[WEATHER], enable_thinking=False).status == 200
    lax = make(route, routes={V41: route}, strict_replay=False)
    assert lax.ask(messages, tools=[WEATHER]).status == 200


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([ASK, SAID, BYE], id="left out"),
        pytest.param([ASK, SAID | THOUGHT, BYE], id="ignored"),
        pytest.param([ASK, SAID, BYE, CALLED | THOUGHT, RESULT], id="in another turn"),
        pytest.param(
            [ASK, CALLED | {"reasoning_content": ""}, RESULT, SAID | THOUGHT, BYE, SAID, BYE],
            id="empty",
        ),
    ],
)
def test_reasoning_is_not_missed_in_turns_without_calls(
    make: MakeClient, messages: list[dict[str, Any]]
) -> None:
    assert make(TEXT).ask(messages, V4, tools=[WEATHER]).status == 200


def test_reasoning_must_be_a_string(make: MakeClient) -> None:
    messages = [ASK, CALLED | {"reasoning_content": None}, RESULT]

    assert make(TEXT).refused(messages, V4) == "reasoning_content must be a string."


def test_models_that_take_no_reasoning_back_refuse_it(make: MakeClient) -> None:
    error = make(TEXT).refused([ASK, SAID | THOUGHT, BYE], R1)

    assert "must not be sent to this model" in error


def test_the_image_of_a_tool_ends_no_turn(client: Client) -> None:
    shown = user({"image": URL})
    begin = in_parts([ASK, CALLED | THOUGHT, RESULT])

    assert client.refused([*begin, shown, *in_parts([SAID, BYE])]) == REPLAY
    for behind in ([], in_parts([SAID | THOUGHT, BYE])):
        assert client.ask([*begin, shown, *behind]).status == 200
    # A text there is a question, and so is an image anywhere else.
    assert client.ask([*begin, *in_parts([BYE, SAID, BYE])]).status == 200
    behind = [*in_parts([SAID | THOUGHT]), shown, *in_parts([SAID, BYE])]
    assert client.ask([*begin, *behind]).status == 200


def test_the_result_of_a_tool_is_answered_with_its_image(client: Client) -> None:
    messages = in_parts(
        [{"role": "user", "content": "weather in Paris?"}, CALLED | THOUGHT, RESULT]
    )

    asked = client.ask([*messages, user({"text": "weather map"}, {"image": URL})], tools=[WEATHER])

    assert asked.calls == []
    assert asked.text == (
        "I am the emulator of deepseek-v4.1-flash. I was sent 1 image. "
        "The tools returned: It is sunny."
    )


# --- what no page says ---


@pytest.mark.parametrize("enabled", [True, False])
def test_a_model_of_unknown_thinking_can_be_switched(make: MakeClient, enabled: bool) -> None:
    asked = make(TEXT).ask(model=UNKNOWN, stream=True, enable_thinking=enabled)

    assert bool(asked.reasoning) == enabled


@pytest.mark.parametrize(
    "parameters",
    [
        {"tools": [WEATHER]},
        {"tools": [WEATHER], "tool_choice": "required"},
        {"enable_search": True},
        {"anything": 1},
        {"stream": True, "incremental_output": False},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object"}, "enable_thinking": False},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    ],
)
def test_what_is_not_known_of_a_model_is_accepted(
    make: MakeClient, parameters: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "Hello in JSON"}]

    assert make(TEXT).ask(messages, UNKNOWN, **parameters).code is None


def test_tools_of_unknown_use_are_called(make: MakeClient) -> None:
    messages = [{"role": "user", "content": "weather in Paris"}]

    for model in (UNKNOWN, "siliconflow/deepseek-v3.2"):
        calls = make(TEXT).ask(messages, model, tools=[WEATHER]).calls
        assert calls == [("get_weather", {"location": "Paris"})]


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [
        ("siliconflow/deepseek-v3.2", {"enable_search": True}, "enable_search"),
        (
            UNKNOWN,
            {"enable_thinking": True, "response_format": {"type": "json_object"}},
            "Json mode response is not supported when enable_thinking is true",
        ),
        (V32, {"response_format": {"type": "json_object"}}, "json_object is not supported"),
        (V31, {"tools": [WEATHER], "stream": True, "enable_thinking": True}, "tool call is not"),
    ],
)
def test_what_is_known_is_refused_all_the_same(
    make: MakeClient, model: str, parameters: dict[str, Any], error: str
) -> None:
    assert error in make(TEXT).refused(model=model, **parameters)
