"""What of a conversation reaches the wire, whoever wrote it, and what is refused."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_dashscope_deepseek import (
    MODELS,
    DashScopeInputError,
    DashScopeUnsupportedError,
    DashScopeWarning,
)
from langchain_dashscope_deepseek._langchain.history import countable
from langchain_dashscope_deepseek._langchain.messages import reasoning_of
from tests.unit_tests.conftest import Ask, Scripted, answer_of

USER = {"role": "user", "content": "hi"}
ARGS = '{"city": "杭州"}'
WIRE_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": ARGS},
}
CALL: Any = {"type": "tool_call", "id": "call_1", "name": "get_weather", "args": {"city": "杭州"}}
RESULT = ToolMessage("sunny", tool_call_id="call_1")
WIRE_RESULT = {"role": "tool", "content": "sunny", "tool_call_id": "call_1"}


async def sent(ask: Ask, service: Scripted, messages: Any, **settings: Any) -> list[dict[str, Any]]:
    service.answer(answer_of())
    await ask(service.model(**settings), messages)
    result: list[dict[str, Any]] = service.sent["input"]["messages"]
    return result


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (HumanMessage("hi"), USER),
        (HumanMessage("hi", name="ann"), USER),
        (HumanMessage([{"type": "text", "text": "a"}, "b"]), {"role": "user", "content": "a\nb"}),
        (HumanMessage(content_blocks=[{"type": "text", "text": "hi"}]), USER),
        (HumanMessage([{"text": "hi"}]), USER),
        (ChatMessage(content="hi", role="user"), USER),
        (HumanMessage([{"type": "text", "text": None}, {"type": "text", "text": "hi"}]), USER),
        (HumanMessage([{"type": "tool_result", "content": "hi"}]), USER),
        (
            HumanMessage([{"type": "search_result", "content": [{"type": "text", "text": "hi"}]}]),
            USER,
        ),
        (HumanMessage([{"type": "document", "source": {"type": "text", "data": "hi"}}]), USER),
        (HumanMessage([{"type": "document", "source": {"type": "text"}}, "hi"]), USER),
        (HumanMessage([{"type": "x", "text": "hi"}, {"type": "text", "text": 7}]), USER),
        (HumanMessage([{"type": "refusal", "refusal": "hi"}]), USER),
    ],
)
async def test_a_human_message_becomes_one_string(
    message: BaseMessage, wire: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    """Text models refuse lists."""
    assert await sent(ask, service, [message]) == [wire]


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (SystemMessage("be brief"), "be brief"),
        (SystemMessage([{"type": "text", "text": "be brief"}]), "be brief"),
        (ChatMessage(content="be brief", role="system"), "be brief"),
        (ChatMessage(content="be brief", role="developer"), "be brief"),
    ],
)
async def test_a_system_message_leads(
    message: BaseMessage, content: str, ask: Ask, service: Scripted
) -> None:
    assert await sent(ask, service, [message, HumanMessage("hi")]) == [
        {"role": "system", "content": content},
        USER,
    ]


async def test_system_messages_at_the_beginning_become_one(ask: Ask, service: Scripted) -> None:
    """The service documents one."""
    conversation = [SystemMessage("a"), SystemMessage("b"), HumanMessage("hi")]
    assert await sent(ask, service, conversation) == [{"role": "system", "content": "a\n\nb"}, USER]


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("hello"),
        ChatMessage(content="hello", role="assistant"),
        AIMessage([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]),
        AIMessage([{"type": "thinking", "thinking": "hm", "signature": "x"}, "hello"]),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "hello"}]),
        AIMessage([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "hello"}]),
        AIMessage([{"type": "output_text", "text": "hello", "annotations": []}]),
        AIMessage(["hel", {"type": "refusal", "refusal": "lo"}]),
        AIMessage("hello", additional_kwargs={"reasoning_content": "hm"}),
        *(
            AIMessage([{"type": "text", "text": "hello"}, {"type": kind, "id": "1", "result": "x"}])
            for kind in (
                *("mcp_call", "mcp_list_tools", "code_interpreter_call", "file_search_call"),
                *("image_generation_call", "mcp_tool_use", "mcp_tool_result", "compaction"),
                *("bash_code_execution_tool_result", "container_upload", "executable_code"),
                *("code_execution_result", "server_tool_call", "web_search_call", "non_standard"),
            )
        ),
    ],
)
async def test_an_ai_message_gives_its_text_and_nothing_else(
    message: BaseMessage, ask: Ask, service: Scripted
) -> None:
    wire = await sent(ask, service, [HumanMessage("hi"), message, HumanMessage("hi")])
    assert wire == [USER, {"role": "assistant", "content": "hello"}, USER]


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", tool_calls=[CALL]),
        AIMessage(
            [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": CALL["args"]}]
        ),
        AIMessage(content_blocks=[CALL]),
        AIMessage(
            [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    "type": "function_call",
                    "id": "fc_1",
                    "call_id": "call_1",
                    "name": "get_weather",
                    "arguments": ARGS,
                },
            ]
        ),
        AIMessage(
            [{"function_call": {"id": "call_1", "name": "get_weather", "args": CALL["args"]}}]
        ),
        AIMessage(
            [
                {
                    "type": "tool_use",
                    "id": "call_1",
                    "name": "get_weather",
                    "input": {},
                    "partial_json": ARGS,
                }
            ]
        ),
        AIMessage(
            "",
            additional_kwargs={
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": ARGS},
                    }
                ]
            },
        ),
        AIMessage(
            [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}],
            tool_calls=[CALL],
        ),
        ChatMessage(
            content="",
            role="assistant",
            additional_kwargs={
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": ARGS},
                    }
                ]
            },
        ),
    ],
)
async def test_a_tool_call_goes_back_wherever_it_was_kept(
    message: BaseMessage, ask: Ask, service: Scripted
) -> None:
    conversation = [HumanMessage("hi"), message, RESULT]
    assert await sent(ask, service, conversation, enable_thinking=False) == [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
        WIRE_RESULT,
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("sunny", "sunny"),
        ("", ""),
        ([{"type": "text", "text": "sunny"}, "warm"], "sunny\nwarm"),
        ([{"type": "tool_result", "content": "sunny"}], "sunny"),
        ([{"file": "a.py", "line": 3}], '{"file": "a.py", "line": 3}'),
        ([{"text": "hi", "score": 0.9}], '{"text": "hi", "score": 0.9}'),
        ([{"type": "person", "text": "x"}], '{"type": "person", "text": "x"}'),
        ([{"day": date(2026, 1, 2), "ort": "杭州"}], '{"day": "2026-01-02", "ort": "杭州"}'),
    ],
)
async def test_a_tool_message_becomes_one_string(
    content: Any, text: str, ask: Ask, service: Scripted
) -> None:
    conversation = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage(content, tool_call_id="call_1"),
    ]
    wire = await sent(ask, service, conversation)
    assert wire[-1] == {**WIRE_RESULT, "content": text}


# --- Reasoning ---

REASONED = AIMessage("", tool_calls=[CALL], additional_kwargs={"reasoning_content": "hm"})
REASONED_V1 = AIMessage(content_blocks=[{"type": "reasoning", "reasoning": "hm"}, CALL])
FOREIGN = AIMessage("", tool_calls=[CALL])


@pytest.mark.parametrize(
    ("message", "settings", "reasoning"),
    [
        (REASONED, {"model": "deepseek-v4-pro"}, "hm"),
        (REASONED_V1, {"model": "deepseek-v4-pro"}, "hm"),
        (FOREIGN, {"model": "deepseek-v4-pro"}, ""),
        (
            REASONED.model_copy(update={"response_metadata": {"model_provider": "ollama"}}),
            {"model": "deepseek-v4-pro"},
            "",
        ),
        (
            REASONED_V1.model_copy(update={"response_metadata": {"model_provider": "anthropic"}}),
            {"model": "deepseek-v4-pro"},
            "",
        ),
        (
            REASONED.model_copy(
                update={"response_metadata": {"model_provider": "dashscope_deepseek"}}
            ),
            {"model": "deepseek-v4-pro"},
            "hm",
        ),
        (REASONED, {"model": "deepseek-v4-pro", "enable_thinking": False}, None),
        (REASONED, {"model": "deepseek-v3.2"}, None),
        (REASONED, {"model": "deepseek-v3.2", "enable_thinking": True}, "hm"),
        (REASONED, {"model": "deepseek-r1"}, None),
        (REASONED, {"model": "deepseek-v3"}, None),
    ],
)
async def test_reasoning_goes_back_with_tool_calls_where_the_row_says_so(
    message: AIMessage,
    settings: dict[str, Any],
    reasoning: str | None,
    ask: Ask,
    service: Scripted,
) -> None:
    wire = await sent(ask, service, [HumanMessage("hi"), message, RESULT], **settings)
    assert wire[1].get("reasoning_content") == reasoning


ANSWER = AIMessage("It is sunny.", additional_kwargs={"reasoning_content": "so"})
ANSWER_V1 = AIMessage(
    content_blocks=[{"type": "reasoning", "reasoning": "so"}, {"type": "text", "text": "It is."}]
)
BY_HAND = AIMessage("It is sunny.")
OF_ANOTHER = ANSWER.model_copy(update={"response_metadata": {"model_provider": "openai"}})
PLAIN = AIMessage("hello", additional_kwargs={"reasoning_content": "hm"})
THANKS = HumanMessage("thanks")


@pytest.mark.parametrize(
    ("messages", "replayed"),
    [
        # A turn in which a tool was called: the final answer, too, in all later requests.
        ([HumanMessage("hi"), REASONED, RESULT, ANSWER, THANKS], ["hm", "so"]),
        ([HumanMessage("hi"), REASONED_V1, RESULT, ANSWER_V1, THANKS], ["hm", "so"]),
        ([HumanMessage("hi"), REASONED, RESULT, BY_HAND, THANKS], ["hm", ""]),
        ([HumanMessage("hi"), REASONED, RESULT, OF_ANOTHER, THANKS], ["hm", ""]),
        ([HumanMessage("hi"), PLAIN, REASONED, RESULT, ANSWER, THANKS], ["hm", "hm", "so"]),
        ([HumanMessage("hi"), REASONED, RESULT, ANSWER, THANKS, PLAIN, THANKS], ["hm", "so", None]),
        ([THANKS, PLAIN, THANKS, REASONED, RESULT, ANSWER, THANKS], [None, "hm", "so"]),
        # What belongs to a turn is decided on what is left after trimming or a summary.
        ([HumanMessage("A summary."), ANSWER, THANKS], [None]),
        ([SystemMessage("A summary."), REASONED, RESULT, ANSWER, THANKS], ["hm", "so"]),
        ([ChatMessage(content="hi", role="user"), REASONED, RESULT, ANSWER, THANKS], ["hm", "so"]),
    ],
)
async def test_the_reasoning_of_a_whole_turn_with_tool_calls_goes_back(
    messages: list[BaseMessage], replayed: list[str | None], ask: Ask, service: Scripted
) -> None:
    wire = await sent(ask, service, messages)
    answers = [message for message in wire if message["role"] == "assistant"]
    assert [answer.get("reasoning_content") for answer in answers] == replayed
    wire = await sent(ask, service, messages, enable_thinking=False)
    assert not any("reasoning_content" in message for message in wire)


def test_reasoning_that_goes_back_is_counted() -> None:
    texts = [text for text, _ in countable([THANKS, REASONED, RESULT, ANSWER, THANKS, PLAIN])]
    assert texts[1].endswith("hm")
    assert texts[3] == "It is sunny.\nso"
    assert texts[5] == "hello"


# --- Anthropic's shape ---

ASKED: Any = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": CALL["args"]}
CLAUDE = AIMessage([{"type": "text", "text": "Let me look."}, ASKED])
WIRE_CLAUDE = {"role": "assistant", "content": "Let me look.", "tool_calls": [WIRE_CALL]}


def result(content: Any = None, **more: Any) -> Any:
    given = {} if content is None else {"content": content}
    return {"type": "tool_result", "tool_use_id": "call_1", **given, **more}


@pytest.mark.parametrize(
    ("blocks", "wire"),
    [
        ([result("sunny")], [WIRE_RESULT]),
        ([result([{"type": "text", "text": "sunny"}])], [WIRE_RESULT]),
        (
            [result(["sun", {"type": "text", "text": "ny"}])],
            [{**WIRE_RESULT, "content": "sun\nny"}],
        ),
        ([result()], [{**WIRE_RESULT, "content": ""}]),
        ([result(is_error=True)], [{**WIRE_RESULT, "content": "Error:"}]),
        ([result("no", is_error=True)], [{**WIRE_RESULT, "content": "Error:\nno"}]),
        ([result("sunny", is_error=False)], [WIRE_RESULT]),
        ([result("sunny"), {"type": "text", "text": "hi"}], [WIRE_RESULT, USER]),
        ([{"type": "text", "text": "hi"}, result("sunny")], [WIRE_RESULT, USER]),
        (["hi", result("sunny")], [WIRE_RESULT, USER]),
    ],
)
async def test_anthropics_tool_results_become_tool_messages(
    blocks: list[Any], wire: list[dict[str, Any]], ask: Ask, service: Scripted
) -> None:
    """What stands beside them is the user's, behind them."""
    for human in (HumanMessage(blocks), ChatMessage(content=blocks, role="user")):
        thread = [HumanMessage("hi"), CLAUDE, human]
        assert await sent(ask, service, thread, enable_thinking=False) == [
            *(USER, WIRE_CLAUDE),
            *wire,
        ]


async def test_a_thread_of_anthropics_shape_goes_on(ask: Ask, service: Scripted) -> None:
    thread = [HumanMessage("hi"), CLAUDE, HumanMessage([result("sunny")]), AIMessage("So."), THANKS]
    before = [message.model_copy(deep=True) for message in thread]
    wire = await sent(ask, service, thread)
    assert [message["role"] for message in wire] == [
        *("user", "assistant", "tool", "assistant", "user")
    ]
    assert wire[3]["reasoning_content"] == "", "still the turn in which a tool was called"
    assert thread == before


async def test_the_rules_of_tool_messages_hold_for_anthropics_results(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning, match="since its call is missing"):
        await ask(service.model(), [HumanMessage([result("sunny"), "hi"])])
    assert service.sent["input"]["messages"] == [USER]
    image = {"type": "image", "file_id": "file-1"}
    with pytest.warns(DashScopeWarning, match="Content that cannot be sent was left out"):
        wire = await sent(
            ask, service, [HumanMessage("hi"), CLAUDE, HumanMessage([result([image])])]
        )
    assert "an image was left out here" in wire[2]["content"]


@pytest.mark.parametrize("kind", [HumanMessage, SystemMessage, AIMessage])
async def test_a_mark_for_an_explicit_cache_warns_once(
    kind: type[BaseMessage], ask: Ask, service: Scripted
) -> None:
    block: Any = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    with pytest.warns(DashScopeWarning, match="DeepSeek has no explicit cache") as caught:
        wire = await sent(ask, service, [kind(content=[block, block]), HumanMessage("hi")])
    assert len(caught) == 1
    assert "cache_control" not in json.dumps(wire)


async def test_cache_control_in_a_tools_data_is_data(ask: Ask, service: Scripted) -> None:
    head = ToolMessage([{"cache_control": "no-store"}], tool_call_id="call_1")
    wire = await sent(ask, service, [HumanMessage("hi"), AIMessage("", tool_calls=[CALL]), head])
    assert wire[2]["content"] == '{"cache_control": "no-store"}'


# --- Refused before anything is sent ---


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": "eA==", "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
        {"type": "video", "url": "https://example.com/cat.mp4"},
        {"type": "file", "base64": "eA==", "mime_type": "application/pdf"},
        {"type": "document", "source": {"type": "base64", "data": "eA=="}},
        {"inline_data": {"mime_type": "audio/wav", "data": "eA=="}},
        {"type": "media", "mime_type": "video/mp4", "data": "eA=="},
    ],
)
@pytest.mark.parametrize("model", ["deepseek-v4-pro", "deepseek-v4.1-flash"])
async def test_audio_video_and_files_are_refused(
    block: dict[str, Any], model: str, ask: Ask, service: Scripted
) -> None:
    messages = [HumanMessage([{"type": "text", "text": "what is it?"}, block])]
    with pytest.raises(DashScopeUnsupportedError, match=r"messages\[0\] holds a block of type"):
        await ask(service.model(model), messages)
    assert service.requests == []


async def test_an_ai_message_that_says_nothing_is_left_out(ask: Ask, service: Scripted) -> None:
    """An aborted turn must not end a thread for good."""
    conversation = [HumanMessage("hi"), AIMessage(""), HumanMessage("hi")]
    assert await sent(ask, service, conversation) == [USER, USER]


# --- Tool loops ---

OTHER_CALL: Any = {**CALL, "id": "call_2", "name": "get_time", "args": {}}


async def test_parallel_calls_may_be_answered_in_any_order(ask: Ask, service: Scripted) -> None:
    conversation = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[CALL, OTHER_CALL]),
        ToolMessage("noon", tool_call_id="call_2"),
        RESULT,
    ]
    wire = await sent(ask, service, conversation, enable_thinking=False)
    assert [m.get("tool_call_id") for m in wire] == [None, None, "call_2", "call_1"]


INVALID: Any = {
    "type": "invalid_tool_call",
    "id": "call_1",
    "name": "get_weather",
    "args": '{"city": "Par"]',
    "error": None,
}


async def test_an_invalid_call_that_was_answered_goes_back_as_valid_json(
    ask: Ask, service: Scripted
) -> None:
    message = AIMessage("", invalid_tool_calls=[INVALID])
    conversation = [HumanMessage("hi"), message, RESULT]
    wire = await sent(ask, service, conversation, enable_thinking=False)
    assert message.tool_calls == []  # what is sent is ours, the message is not
    (call,) = wire[1]["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("call_1", "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"malformed_arguments": INVALID["args"]}


@pytest.mark.parametrize("text", ["Let me look.", ""])
async def test_an_invalid_call_that_nobody_answered_is_left_out(
    text: str, ask: Ask, service: Scripted
) -> None:
    message = AIMessage(text, invalid_tool_calls=[INVALID])
    wire = await sent(ask, service, [HumanMessage("hi"), message, HumanMessage("hi")])
    assert wire == ([USER, {"role": "assistant", "content": text}, USER] if text else [USER, USER])


async def test_an_invalid_call_with_the_id_of_a_valid_one_is_left_out(
    ask: Ask, service: Scripted
) -> None:
    message = AIMessage("", tool_calls=[CALL], invalid_tool_calls=[INVALID])
    wire = await sent(ask, service, [HumanMessage("hi"), message, RESULT])
    assert wire[1]["tool_calls"] == [WIRE_CALL]


async def test_an_invalid_call_does_not_come_back_from_a_block(ask: Ask, service: Scripted) -> None:
    block = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}
    message = AIMessage([{"type": "text", "text": "Hm."}, block], invalid_tool_calls=[INVALID])
    wire = await sent(ask, service, [HumanMessage("hi"), message, HumanMessage("hi")])
    assert wire[1] == {"role": "assistant", "content": "Hm."}


# --- What is said ---

HI = HumanMessage("hi")
OTHER_RESULT = ToolMessage("rain", tool_call_id="call_1")
ORPHAN = (
    "messages[{}] is a tool message for the call 'call_1', which no AI message before it made, or "
    "which is answered already: keep the AI message with that call right before it, or drop this "
    "one."
)
NOT_READ = (
    "messages[1] holds a block of type {!r}, which DeepSeek models do not read: describe it in text, "
    "or use a model of another provider that reads it."
)
READERS = ", ".join(name for name, row in MODELS.items() if row.images)
NO_IMAGES = (
    "messages[1] holds an image, and deepseek-v4-pro reads text only. Models that read images: "
    f"{READERS}."
)
NO_JSON = (
    "messages[1] calls the tool 'get_weather' (id 'call_1') with arguments that JSON cannot represent: "
    "use strings, finite numbers, booleans, None, lists and dicts."
)
NOTHING = (
    "There is nothing to answer (empty messages and tool messages without a call are left out): "
    "send at least one human message."
)
ENDS = (
    "messages[1] is {} and the last one, and the service answers human and tool messages only: end "
    "the conversation with one of those."
)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], NOTHING),
        ([SystemMessage("")], NOTHING),
        (
            [HI, HumanMessage("")],
            "messages[1] is an empty human message, which the service refuses: fill or drop it.",
        ),
        ([HI, AIMessage("hello")], ENDS.format("an AI message")),
        ([HI, SystemMessage("now")], ENDS.format("a system message")),
        (
            [HI, ChatMessage(content="now", role="system")],
            ENDS.format("a system message"),
        ),
        (
            [HI, ChatMessage(content="hi", role="narrator")],
            (
                "messages[1] has the role 'narrator'. Use one of system, developer, user, human, "
                "assistant, ai."
            ),
        ),
        (
            [HI, FunctionMessage(content="hi", name="f")],
            (
                "messages[1] is a FunctionMessage, which the service has no role for: use system, "
                "human, AI and tool messages. Convert a FunctionMessage to an AIMessage with "
                "tool_calls and a ToolMessage."
            ),
        ),
        ([RESULT, HI], ORPHAN.format(0)),
        ([HI, AIMessage("", tool_calls=[CALL]), RESULT, OTHER_RESULT], ORPHAN.format(3)),
        (
            [HI, AIMessage("", tool_calls=[CALL, OTHER_CALL]), RESULT],
            (
                "messages[1] calls the tool 'get_time' (id 'call_2'), and no tool message right "
                "behind it answers the call: add or move one with tool_call_id='call_2' there, or drop the call."
            ),
        ),
        (
            [HI, AIMessage("", tool_calls=[{**CALL, "id": None}])],
            (
                "messages[1] calls the tool 'get_weather' with the id '': each call of a message "
                "needs an id of its own."
            ),
        ),
        ([HI, AIMessage("", tool_calls=[{**CALL, "args": {"a": float("nan")}}])], NO_JSON),
        ([HI, AIMessage("", tool_calls=[{**CALL, "args": {"a": object()}}])], NO_JSON),
        ([HI, HumanMessage([{"type": "image"}])], NO_IMAGES),
        ([HI, HumanMessage([{"fileData": "x"}])], NOT_READ.format("fileData")),
        (
            [HI, HumanMessage([{"type": "tool_result", "content": [{"type": "image"}]}])],
            NO_IMAGES,
        ),
        (
            [HI, HumanMessage([{"type": "tool_result", "content": [{"fileData": "x"}]}])],
            NOT_READ.format("fileData"),
        ),
        ([HI, HumanMessage([{"type": "riddle"}])], NOT_READ.format("riddle")),
    ],
)
def test_a_refusal_says_which_message_and_what_to_do(
    messages: list[BaseMessage], text: str, service: Scripted
) -> None:
    """Some only where warnings are errors, as they are in these tests."""
    with pytest.raises(DashScopeInputError) as caught:
        service.model().invoke(messages)
    assert str(caught.value) == text
    assert service.requests == []


@pytest.mark.parametrize(
    ("block", "arguments"),
    [
        ({"type": "tool_call", "id": "call_1", "name": "f", "args": {"a": 1}}, '{"a": 1}'),
        ({"type": "function_call", "id": "call_1", "name": "f", "arguments": ""}, "{}"),
        ({"type": "tool_use", "id": "call_1", "name": "f", "input": {}}, "{}"),
        ({"type": "function_call", "id": "call_1", "name": "f", "arguments": "{"}, None),
        ({"type": "function_call", "id": "call_1", "name": "f", "arguments": "[]"}, None),
        ({"type": "riddle", "id": "call_1", "name": "f", "args": {}}, None),
    ],
)
def test_a_call_is_read_out_of_a_block(
    block: dict[str, Any], arguments: str | None, service: Scripted
) -> None:
    message = ChatMessage(content=["Hm.", block], role="assistant")
    called = arguments is not None
    service.answer(answer_of())
    service.model(enable_thinking=False).invoke([HI, message, RESULT if called else HI])
    sent = service.sent["input"]["messages"][1]
    calls = [
        (c["function"]["name"], c["function"]["arguments"]) for c in sent.get("tool_calls", ())
    ]
    assert calls == ([("f", arguments)] if called else [])


def test_reasoning_in_blocks_is_joined() -> None:
    blocks = [{"type": "reasoning", "reasoning": part} for part in ("a", "b", None)]
    assert reasoning_of(AIMessage([*blocks, {"type": "text", "reasoning": "c"}, "d"])) == "ab"
    assert reasoning_of(AIMessage("c", additional_kwargs={"reasoning_content": ["d"]})) == ""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (HI, "hi"),
        (HumanMessage(["a", {"type": "text", "text": "b"}]), "a\nb"),
        (
            HumanMessage([{"type": "riddle"}]),
            "[an attachment was left out here: you cannot read it]",
        ),
        (AIMessage(["a", {"type": "tool_result", "content": "b"}]), "a"),
        (AIMessage("a", additional_kwargs={"reasoning_content": "hm"}), "a"),
        (
            AIMessage("a", tool_calls=[CALL], additional_kwargs={"reasoning_content": "hm"}),
            'a\nget_weather{"city": "杭州"}\nhm',
        ),
        (
            AIMessage("", tool_calls=[{**CALL, "args": {"day": date(2026, 1, 2)}}]),
            'get_weather{"day": "2026-01-02"}',
        ),
        (AIMessage("", invalid_tool_calls=[INVALID]), f"get_weather{json.dumps(INVALID['args'])}"),
        (ToolMessage([{"a": 1}], tool_call_id="1"), '{"a": 1}'),
        (HumanMessage("a\ud800"), "a\ufffd"),
    ],
)
def test_what_the_model_reads_is_counted(message: BaseMessage, text: str) -> None:
    assert list(countable([message])) == [(text, 0)]


def test_what_is_not_sent_is_not_counted() -> None:
    messages = [HumanMessage(""), AIMessage(""), ChatMessage(content="hi", role="narrator")]
    assert list(countable(messages)) == []
