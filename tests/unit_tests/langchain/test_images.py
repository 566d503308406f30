"""Images in every provider's form reach the wire in DashScope's, or are refused before sending."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_dashscope_deepseek import (
    MODELS,
    ChatDashScopeDeepSeek,
    DashScopeInputError,
    DashScopeUnsupportedError,
    DashScopeWarning,
    ModelCapabilities,
)
from langchain_dashscope_deepseek._langchain.history import countable
from tests.unit_tests.conftest import Ask, Scripted, answer_of

MODEL = "deepseek-v4.1-flash"
URL = "https://example.com/cat.png?signature=secret-signature"
DATA = "iVBORw0KGgo="
URI = f"data:image/png;base64,{DATA}"
SECRETS = ("secret-signature", DATA)
CALL: Any = {"type": "tool_call", "id": "call_1", "name": "look", "args": {}}
OTHER_CALL: Any = {**CALL, "id": "call_2"}
WIRE_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "look", "arguments": "{}"},
}


async def sent(ask: Ask, service: Scripted, messages: Any, **settings: Any) -> Any:
    service.answer(answer_of())
    await ask(service.model(MODEL, **settings), messages)
    return service.sent["input"]["messages"]


FORMS: list[tuple[Any, Any]] = [
    # OpenAI
    ({"type": "image_url", "image_url": {"url": URL}}, {"image": URL}),
    ({"type": "image_url", "image_url": {"url": URI, "detail": "auto"}}, {"image": URI}),
    ({"type": "image_url", "image_url": URL}, {"image": URL}),
    ({"type": "input_image", "image_url": URI, "detail": "auto"}, {"image": URI}),
    # LangChain, v1 and v0
    ({"type": "image", "url": URL}, {"image": URL}),
    ({"type": "image", "base64": DATA, "mime_type": "image/png"}, {"image": URI}),
    ({"type": "image", "base64": URI, "mime_type": "image/png"}, {"image": URI}),
    ({"type": "image", "source_type": "url", "url": URL}, {"image": URL}),
    (
        {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
        {"image": URI},
    ),
    (
        {"type": "image", "url": URL, "extras": {"max_pixels": 9}},
        {"image": URL, "max_pixels": 9},
    ),
    # Anthropic
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"image": URI},
    ),
    ({"type": "image", "source": {"type": "url", "url": URL}}, {"image": URL}),
    # DashScope
    ({"image": URL}, {"image": URL}),
    ({"type": "image", "image": URI}, {"image": URI}),
    ({"image": "oss://dashscope/cat.png"}, {"image": "oss://dashscope/cat.png"}),
    (
        {"image": URL, "min_pixels": 1, "max_pixels": 2, "cache_control": {"type": "ephemeral"}},
        {"image": URL, "min_pixels": 1, "max_pixels": 2, "cache_control": {"type": "ephemeral"}},
    ),
    # Gemini and Bedrock
    ({"type": "media", "mime_type": "image/png", "data": DATA}, {"image": URI}),
    ({"type": "media", "mime_type": "image/png", "file_uri": URL}, {"image": URL}),
    ({"inline_data": {"mime_type": "image/png", "data": DATA}}, {"image": URI}),
    ({"inlineData": {"mimeType": "image/png", "data": DATA}}, {"image": URI}),
    (
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}},
        {"image": URI},
    ),
    # What may stand in a data URI
    ({"image": "data:image/jpg;base64," + DATA}, {"image": "data:image/jpeg;base64," + DATA}),
    ({"image": "DATA:image/PNG;charset=x;base64," + DATA}, {"image": URI}),
    ({"type": "image", "base64": "iVBO\nRw0K\nGgo=\n", "mime_type": "image/png"}, {"image": URI}),
]


@pytest.mark.parametrize(("block", "part"), FORMS)
async def test_an_image_of_any_provider_is_sent_as_dashscope_has_it(
    block: Any, part: Any, ask: Ask, service: Scripted
) -> None:
    wire = await sent(
        ask, service, [HumanMessage([block, {"type": "text", "text": "What is it?"}])]
    )
    assert wire == [{"role": "user", "content": [part, {"text": "What is it?"}]}]
    assert service.requests[-1].url.path.endswith("/multimodal-generation/generation")


async def test_texts_and_images_keep_their_order(ask: Ask, service: Scripted) -> None:
    blocks: list[Any] = ["a", {"type": "text", "text": "b"}, {"image": URL}, "c", {"image": URI}]
    (message,) = await sent(ask, service, [HumanMessage(blocks)])
    parts = [{"text": "a\nb"}, {"image": URL}, {"text": "c"}, {"image": URI}]
    assert message["content"] == parts


async def test_without_images_every_content_is_a_list_all_the_same(
    ask: Ask, service: Scripted
) -> None:
    """The multimodal route takes nothing else; recorded: `[]` beside tool calls."""
    conversation = [
        SystemMessage("be brief"),
        HumanMessage("look"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("", tool_call_id="call_1"),
        AIMessage("done"),
        HumanMessage("hi"),
    ]
    assert await sent(ask, service, conversation, enable_thinking=False) == [
        {"role": "system", "content": [{"text": "be brief"}]},
        {"role": "user", "content": [{"text": "look"}]},
        {"role": "assistant", "content": [], "tool_calls": [WIRE_CALL]},
        {"role": "tool", "content": [{"text": ""}], "tool_call_id": "call_1"},
        {"role": "assistant", "content": [{"text": "done"}]},
        {"role": "user", "content": [{"text": "hi"}]},
    ]


async def test_images_of_tools_follow_their_results_as_a_user_message(
    ask: Ask, service: Scripted
) -> None:
    """A tool message is documented with text only: this works whether it may hold more or not."""
    conversation = [
        HumanMessage("look"),
        AIMessage("", tool_calls=[CALL, OTHER_CALL]),
        ToolMessage([{"type": "text", "text": "Here:"}, {"image": URL}], tool_call_id="call_1"),
        ToolMessage(
            [{"type": "image", "base64": DATA, "mime_type": "image/png"}], tool_call_id="call_2"
        ),
        AIMessage("A cat."),
        HumanMessage("Sure?"),
    ]
    wire = await sent(ask, service, conversation)
    first, second = "[image 1 of the tool results]", "[image 2 of the tool results]"
    assert wire[2:5] == [
        {"role": "tool", "content": [{"text": f"Here:\n{first}"}], "tool_call_id": "call_1"},
        {"role": "tool", "content": [{"text": second}], "tool_call_id": "call_2"},
        {
            "role": "user",
            "content": [{"text": first}, {"image": URL}, {"text": second}, {"image": URI}],
        },
    ]
    assert [message["role"] for message in wire[5:]] == ["assistant", "user"]
    assert wire[5]["reasoning_content"] == ""  # still the turn in which a tool was called


async def test_images_in_anthropics_tool_results_follow_them(ask: Ask, service: Scripted) -> None:
    image = {"type": "image", "source": {"type": "url", "url": URL}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": ["Here:", image]}
    conversation = [
        HumanMessage("look"),
        AIMessage([{"type": "tool_use", "id": "call_1", "name": "look", "input": {}}]),
        HumanMessage([result, "Sure?", image]),
    ]
    name = "[image 1 of the tool results]"
    assert (await sent(ask, service, conversation))[2:] == [
        {"role": "tool", "content": [{"text": f"Here:\n{name}"}], "tool_call_id": "call_1"},
        {"role": "user", "content": [{"text": name}, {"image": URL}]},
        {"role": "user", "content": [{"text": "Sure?"}, {"image": URL}]},
    ]


async def test_a_conversation_may_end_with_the_image_of_a_tool(ask: Ask, service: Scripted) -> None:
    conversation = [
        HumanMessage("look"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage([{"image": URL}], tool_call_id="call_1"),
    ]
    wire = await sent(ask, service, conversation)
    assert [message["role"] for message in wire] == ["user", "assistant", "tool", "user"]


async def test_a_dict_that_a_tool_answers_is_data(ask: Ask, service: Scripted) -> None:
    data = {"image": "cat.png", "size": 3}
    conversation = [
        HumanMessage("look"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage([data], tool_call_id="call_1"),
    ]
    wire = await sent(ask, service, conversation)
    assert wire[-1]["content"] == [{"text": json.dumps(data)}]


@pytest.mark.parametrize("url", ["oss://x/cat.png", "OSS://x/cat.png"])
async def test_an_oss_url_brings_its_header(url: str, ask: Ask, service: Scripted) -> None:
    await sent(ask, service, [HumanMessage([{"image": url}])])
    assert service.requests[-1].headers["x-dashscope-ossresourceresolve"] == "enable"
    await sent(ask, service, [HumanMessage([{"image": URL}])])
    assert "x-dashscope-ossresourceresolve" not in service.requests[-1].headers


NEITHER = "not an https, http, oss or data URI, or holds a space"
FILE_ID = "another provider's file id, which the service cannot read"
BAD_BASE64 = "an image whose base64 cannot be read: encode the bytes"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"type": "image", "file_id": "file-1"}, FILE_ID),
        ({"type": "image", "source_type": "id", "id": "file-1"}, FILE_ID),
        ({"type": "input_image", "file_id": "file-1"}, FILE_ID),
        ({"type": "image", "source": {"type": "file", "file_id": "file-1"}}, FILE_ID),
        ({"type": "image_file", "image_file": {"file_id": "file-1"}}, FILE_ID),
        ({"image": "/home/me/secret-signature.png"}, NEITHER),
        ({"image": "file:///home/me/secret-signature.png"}, NEITHER),
        ({"type": "image_url", "image_url": {"url": "C:\\secret-signature.png"}}, NEITHER),
        ({"image": "https://a b/secret-signature"}, NEITHER),
        ({"image": ""}, NEITHER),
        ({"type": "image"}, NEITHER),
        ({"type": "image_url", "image_url": None}, NEITHER),
        ({"image": f"data:image/png,{DATA}"}, "whose data URI does not have the form data:image/"),
        ({"type": "image", "base64": "secret-signature!", "mime_type": "image/png"}, BAD_BASE64),
        ({"type": "image", "base64": "abc", "mime_type": "image/png"}, BAD_BASE64),
        ({"type": "image", "base64": "", "mime_type": "image/png"}, BAD_BASE64),
        ({"type": "image", "base64": 5, "mime_type": "image/png"}, BAD_BASE64),
        ({"image": "data:image/png;base64,"}, BAD_BASE64),
        (
            {"type": "image", "source": {"type": "base64", "data": DATA}},
            "whose mime type is missing or malformed. Use one of",
        ),
        (
            {"type": "image", "base64": DATA, "mime_type": "image/svg+xml"},
            "whose mime type is 'image/svg+xml'. Use one of image/jpeg, image/png",
        ),
        (
            {"type": "image", "base64": DATA, "mime_type": "text/plain"},
            "whose mime type is 'text/plain'",
        ),
    ],
)
async def test_an_image_that_cannot_be_sent_is_refused_without_being_quoted(
    block: Any, says: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeInputError) as caught:
        await ask(service.model(MODEL), [HumanMessage(["What is it?", block])])
    assert str(caught.value).startswith("messages[0] holds an image")
    assert says in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert service.requests == []


@pytest.mark.parametrize("form", FORMS)
async def test_a_model_that_reads_text_only_names_those_that_read_images(
    form: Any, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeUnsupportedError) as caught:
        await ask(service.model("deepseek-v4-pro"), [HumanMessage([form[0]])])
    readers = [n for n, row in MODELS.items() if row.images and row.status == "current"]
    assert str(caught.value) == (
        "messages[0] holds an image, and deepseek-v4-pro reads text only. Models that read images: "
        f"{', '.join(readers)}."
    )
    assert service.requests == []


async def test_a_model_that_nobody_knows_is_sent_images_on_the_route_that_carries_them(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    await ask(service.model("some-new-model"), [HumanMessage([{"image": URL}])])
    assert service.requests[-1].url.path.endswith("/multimodal-generation/generation")
    row = ModelCapabilities(tools="always")
    await ask(service.model("qwen-vl", capabilities=row), [HumanMessage([{"image": URL}])])
    assert service.requests[-1].url.path.endswith("/multimodal-generation/generation")
    profile = service.model("qwen-vl", capabilities=row).profile
    assert profile is not None
    assert profile["image_inputs"] is False  # nobody said so


async def test_the_detail_of_openai_is_left_out_with_a_warning(ask: Ask, service: Scripted) -> None:
    block = {"type": "image_url", "image_url": {"url": URL, "detail": "high"}}
    with pytest.warns(DashScopeWarning, match="detail='high' of an image was left out"):
        await sent(ask, service, [HumanMessage([block])])


async def test_the_word_json_is_looked_for_in_the_text_and_not_in_an_image(
    ask: Ask, service: Scripted
) -> None:
    wanted: Any = {"response_format": {"type": "json_object"}}
    with pytest.raises(DashScopeInputError, match="needs the word 'json'"):
        await ask(service.model(MODEL), [HumanMessage([{"image": "https://a/json.png"}])], **wanted)
    service.answer(answer_of())
    await ask(service.model(MODEL), [HumanMessage(["as JSON", {"image": URL}])], **wanted)
    assert service.parameters == {**wanted, "enable_thinking": False}


def test_an_image_counts_384_tokens_at_most() -> None:
    """As DeepSeek's own API states for this model."""
    model = ChatDashScopeDeepSeek(model=MODEL)
    text, image = {"type": "text", "text": "What is it?"}, {"image": URI}
    counted = model.get_num_tokens_from_messages([HumanMessage([text, image, image])])
    alone = model.get_num_tokens_from_messages([HumanMessage([text])])
    assert counted == alone + 2 * 384
    assert list(countable([ToolMessage(["a", image], tool_call_id="1")])) == [("a", 1)]


async def test_image_tokens_stand_in_the_usage(ask: Ask, service: Scripted) -> None:
    for usage in (
        {"input_tokens": 9, "output_tokens": 2, "image_tokens": 5},
        {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"image_tokens": 5}},
    ):
        service.requests.clear()
        service.answers.clear()
        service.answer({**answer_of(), "usage": usage})
        message = await ask(service.model(MODEL), "hi")
        assert message.usage_metadata == {
            "input_tokens": 9,
            "output_tokens": 2,
            "total_tokens": 11,
            "input_token_details": {"image": 5},
        }
