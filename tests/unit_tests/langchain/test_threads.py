"""Threads that go on: what a conversation lacks is mended, said, and refused where it is unclear."""

from __future__ import annotations

import json
import logging
import re
import warnings
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_dashscope_deepseek import (
    DashScopeInputError,
    DashScopeUnsupportedError,
    DashScopeWarning,
)
from tests.unit_tests.conftest import Ask, Scripted, answer_of

Said = tuple[str, str]
"""A role, and a tool message's id with its text, or a text."""

HI = HumanMessage("hi")
CALL: Any = {"type": "tool_call", "id": "a", "name": "look", "args": {"at": "secret-place"}}
OTHER: Any = {"type": "tool_call", "id": "b", "name": "hear", "args": {}}
NAMELESS: Any = {
    "type": "invalid_tool_call",
    "id": "n",
    "name": None,
    "args": "{}]",
    "error": None,
}
CALLS = AIMessage("", tool_calls=[CALL])
BOTH = AIMessage("", tool_calls=[CALL, OTHER])
SAW = ToolMessage("secret-sight", tool_call_id="a")
HEARD = ToolMessage("a bird", tool_call_id="b")
NO_RESULT = (
    "No result of this call was recorded. The tool may have run: before you repeat a call that "
    "costs or changes something, check whether it took effect."
)
GO_ON: Said = ("user", "Continue in the language of this conversation.")
IMAGE = {"type": "image", "url": "https://example.com/secret/cat.png?signature=secret"}
DATA = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}


def said(message: dict[str, Any]) -> Said:
    if message["role"] == "tool":
        return "tool", f"{message['tool_call_id']}: {message['content']}"
    calls = ", ".join(call["function"]["name"] for call in message.get("tool_calls", ()))
    return message["role"], message["content"] or f"calls {calls}"


U: Said = ("user", "hi")
A: Said = ("assistant", "calls look")
A_BOTH: Said = ("assistant", "calls look, hear")
T: Said = ("tool", "a: secret-sight")
NOT_A: Said = ("tool", f"a: {NO_RESULT}")
NOT_B: Said = ("tool", f"b: {NO_RESULT}")
GONE = "A tool message was left out of the request, since its call is missing or answered."


LAST = "An AI message was the last one: a human message that asks to continue was added"
LATE = "was answered by a later tool message, which was moved right behind it"


def mended(name: str, how: str = "has no recorded result and may have run") -> str:
    return f"A call of {name} {how}"


MENDED: dict[str, tuple[list[BaseMessage], list[Said], str]] = {
    "the user goes on": ([HI, CALLS, HI], [U, A, NOT_A, U], mended("look")),
    "one of two was answered": (
        [HI, BOTH, HEARD, HI],
        [U, A_BOTH, ("tool", "b: a bird"), NOT_A, U],
        mended("look"),
    ),
    "none of two was answered": (
        [HI, BOTH, HI],
        [U, A_BOTH, NOT_A, NOT_B, U],
        mended("look"),
    ),
    "it calls again by the same id": (
        [HI, CALLS, HI, CALLS, SAW],
        [U, A, NOT_A, U, A, T],
        mended("look"),
    ),
    "a summary stands between": (
        [HI, CALLS, SystemMessage("Summary"), SAW, HI],
        [U, A, T, ("system", "Summary"), U],
        mended("look", LATE),
    ),
    "the answer comes late": (
        [HI, CALLS, HI, SAW, HI],
        [U, A, T, U, U],
        mended("look", LATE),
    ),
    "a system message stands before the answer": (
        [HI, CALLS, SystemMessage("Note"), SAW],
        [
            U,
            A,
            T,
            ("system", "Note"),
            GO_ON,
        ],
        mended("look", LATE),
    ),
    "the answer to an invalid call comes late": (
        [
            HI,
            AIMessage("", invalid_tool_calls=[{**NAMELESS, "name": "look"}]),
            HI,
            ToolMessage("?", tool_call_id="n"),
            HI,
        ],
        [U, A, ("tool", "n: ?"), U, U],
        mended("look", LATE),
    ),
    "the call was cut off": ([SAW, HI], [U], GONE),
    "the same answer twice": ([HI, CALLS, SAW, SAW], [U, A, T], GONE),
    "a call without a name": (
        [HI, AIMessage("", invalid_tool_calls=[NAMELESS]), ToolMessage("?", tool_call_id="n"), HI],
        [U, U],
        GONE,
    ),
    "a call without a name beside another": (
        [
            HI,
            AIMessage("", tool_calls=[CALL], invalid_tool_calls=[NAMELESS]),
            ToolMessage("?", tool_call_id="n"),
            SAW,
        ],
        [U, A, T],
        GONE,
    ),
    "a valid call without a name": (
        [HI, AIMessage("", tool_calls=[{**CALL, "name": ""}]), SAW],
        [U],
        GONE,
    ),
    "nothing came behind a call": ([HI, CALLS], [U, A, NOT_A], mended("look")),
    "a handoff beside another call": ([HI, BOTH, SAW], [U, A_BOTH, T, NOT_B], mended("hear")),
    "a handoff whose call another agent made": (
        [HI, AIMessage("Yes."), SAW],
        [U, ("assistant", "Yes."), GO_ON],
        GONE,
    ),
    "an AI message at the end": (
        [HI, AIMessage("Yes.")],
        [U, ("assistant", "Yes."), GO_ON],
        LAST,
    ),
    "a system message alone": (
        [SystemMessage("Sum up: x")],
        [("user", "Sum up: x")],
        "A system message was alone, and was sent as a human message",
    ),
    "several system messages alone": (
        [SystemMessage("Sum up"), ChatMessage(content="x", role="developer")],
        [("user", "Sum up\n\nx")],
        "A system message was alone, and was sent as a human message",
    ),
    "a system message at the end": (
        [SystemMessage("Be brief."), HI, SystemMessage("Who is next?")],
        [("system", "Be brief."), U, ("system", "Who is next?"), GO_ON],
        "A system message was the last one: a human message that asks to continue was added",
    ),
    "a system message, and an answer whose call is gone": (
        [SystemMessage("Sum up."), SAW],
        [("user", "Sum up.")],
        GONE,
    ),
    "an empty human message": (
        [HumanMessage(""), HI],
        [U],
        "Content that cannot be sent was left out",
    ),
}


@pytest.fixture(params=MENDED)
def case(request: pytest.FixtureRequest) -> tuple[list[BaseMessage], list[Said], str]:
    return MENDED[request.param]


@pytest.fixture(autouse=True)
def _all_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


async def test_a_thread_that_lacks_something_goes_on(
    case: tuple[list[BaseMessage], list[Said], str],
    ask: Ask,
    service: Scripted,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Said three times: by a warning, in the log, and beside the answer; never the prompt."""
    thread, wanted, warning = case
    before = [message.model_copy(deep=True) for message in thread]
    service.answer(answer_of())
    with caplog.at_level(logging.INFO), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        message = await ask(service.model(enable_thinking=False), thread)

    assert [said(m) for m in service.sent["input"]["messages"]] == wanted
    assert thread == before, "the stored thread is not touched"
    texts = [str(w.message) for w in caught if w.category is DashScopeWarning]
    assert len(texts) == len(set(texts)), "each kind once"
    assert re.search(warning, texts[0])
    changes = message.response_metadata["request_changes"]["messages"]
    logged = [record.getMessage() for record in caplog.records]
    assert all(any(change in line for line in logged) for change in changes)
    assert "secret" not in " ".join([*changes, *logged, *texts])


async def test_who_turns_warnings_into_errors_is_refused(
    case: tuple[list[BaseMessage], list[Said], str], ask: Ask, service: Scripted
) -> None:
    warnings.simplefilter("error", DashScopeWarning)
    with pytest.raises(DashScopeInputError, match=r"^messages\[") as caught:
        await ask(service.model(), case[0])
    assert caught.value.__cause__ is None
    assert service.requests == []


ORPHAN = "is a tool message for the call 'a'"
REFUSED: dict[str, tuple[list[BaseMessage], str]] = {
    "two answers that differ": ([HI, CALLS, SAW, ToolMessage("x", tool_call_id="a")], ORPHAN),
    "two answers that differ, later": (
        [HI, CALLS, SAW, HI, ToolMessage("x", tool_call_id="a"), HI],
        ORPHAN,
    ),
    "two late answers that differ": (
        [HI, CALLS, HI, SAW, ToolMessage("x", tool_call_id="a"), HI],
        ORPHAN,
    ),
    "two calls of one id": (
        [HI, AIMessage("", tool_calls=[CALL, CALL]), SAW],
        "needs an id of its",
    ),
    "a late answer that two calls may have": (
        [HI, CALLS, HI, CALLS, HI, SAW, HI],
        r"messages\[5\] answers the call 'a', and two unanswered calls have that id",
    ),
    "only an answer": ([SAW], "There is nothing to answer"),
    "an empty AI message": ([AIMessage("")], "There is nothing to answer"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_mended_without_guessing_is_refused(
    name: str, ask: Ask, service: Scripted
) -> None:
    thread, text = REFUSED[name]
    with pytest.raises(DashScopeInputError, match=text):
        await ask(service.model(), thread)
    assert service.requests == []


async def test_a_thread_that_lacks_nothing_is_sent_without_a_word(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = await ask(
            service.model(enable_thinking=False), [HI, BOTH, HEARD, SAW, HI, CALLS, SAW]
        )
    assert "request_changes" not in message.response_metadata


# --- What a model does not read ---

LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "an image by URL": (IMAGE, "[an image (cat.png) was left out here: you cannot read it]"),
    "an image by value": (DATA, "[an image (image/png) was left out here: you cannot read it]"),
    "OpenAI's image": (
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,aGVsbG8="}},
        "[an image (image/gif) was left out here: you cannot read it]",
    ),
    "an image of another provider": (
        {"type": "image", "file_id": "file-1"},
        "[an image was left out here: you cannot read it]",
    ),
    "audio": (
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
        "[an attachment (audio/wav) was left out here: you cannot read it]",
    ),
    "video": (
        {"type": "video", "url": "https://example.com/cat.mp4"},
        "[an attachment (cat.mp4) was left out here: you cannot read it]",
    ),
    "a file": (
        {"type": "file", "base64": "eA==", "mime_type": "application/pdf", "filename": "a b.pdf"},
        "[an attachment (a b.pdf) was left out here: you cannot read it]",
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
@pytest.mark.parametrize("where", ["tool", "human", "ai"])
async def test_what_a_text_model_cannot_read_does_not_kill_a_thread(
    name: str, where: str, ask: Ask, service: Scripted
) -> None:
    block, text = LEFT_OUT[name]
    content: Any = [{"type": "text", "text": "See: "}, block, block]
    threads: dict[str, list[BaseMessage]] = {
        "tool": [HI, CALLS, ToolMessage(content, tool_call_id="a")],
        "human": [HumanMessage(content), AIMessage("Nice."), HI],
        "ai": [HI, AIMessage(content), HI],
    }
    service.answer(answer_of())
    if where == "ai" and name == "audio":
        return  # no provider writes that
    with pytest.warns(DashScopeWarning, match="Content that cannot be sent was left out") as caught:
        message = await ask(service.model(enable_thinking=False), threads[where])
    sent = service.sent["input"]["messages"]
    assert any(text in m["content"] for m in sent)
    assert "signature" not in json.dumps(sent)
    assert len(caught) == 1
    change, again = message.response_metadata["request_changes"]["messages"]
    assert change == again
    position = {"tool": 2, "human": 0}.get(where, 1)
    assert change.startswith(f"messages[{position}]: a")


async def test_half_of_a_character_in_a_tools_answer_does_not_kill_a_thread(
    ask: Ask, service: Scripted
) -> None:
    """As in the names of files that are no UTF-8."""
    service.answer(answer_of())
    thread = [HI, CALLS, ToolMessage("caf\udce9.txt \ud83d\ude00", tool_call_id="a")]
    with pytest.warns(DashScopeWarning, match="Content that cannot be sent was left out"):
        message = await ask(service.model(enable_thinking=False), thread)
    assert service.sent["input"]["messages"][2]["content"] == "caf\ufffd.txt 😀"
    changes = message.response_metadata["request_changes"]["messages"]
    assert changes == ["messages[2]: surrogates were joined, or replaced by U+FFFD"]
    with pytest.raises(DashScopeInputError, match="a lone surrogate"):
        await ask(service.model(), [HumanMessage("caf\udce9")])


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "deepseek-v4.1-flash"])
async def test_an_image_in_the_newest_human_message_is_never_left_out(
    model: str, ask: Ask, service: Scripted
) -> None:
    newest = HumanMessage([{"type": "image", "file_id": "file-1"}])
    with pytest.raises(DashScopeInputError, match=r"messages\[2\] holds an image"):
        await ask(service.model(model), [HI, AIMessage("Yes?"), newest])
    newest_of_chat = ChatMessage(content=newest.content, role="user")
    with pytest.raises(DashScopeInputError, match=r"messages\[1\] holds an image"):
        await ask(service.model(model), [HI, newest_of_chat, CALLS, SAW])
    assert service.requests == []


async def test_a_model_that_reads_images_is_sent_old_ones(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    thread = [HumanMessage([DATA]), AIMessage("Nice."), HI]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await ask(service.model("deepseek-v4.1-flash"), thread)
    sent = service.sent["input"]["messages"][0]
    assert sent["content"] == [{"image": "data:image/png;base64,aGVsbG8="}]


async def test_what_no_model_can_be_sent_does_not_kill_a_thread(
    ask: Ask, service: Scripted
) -> None:
    """An image that another provider stores, and one that a model made."""
    service.answer(answer_of())
    thread = [HumanMessage([{"type": "image", "file_id": "f"}]), AIMessage([DATA]), HI]
    with pytest.warns(DashScopeWarning, match="Content that cannot be sent was left out"):
        message = await ask(service.model("deepseek-v4.1-flash"), thread)
    changes = message.response_metadata["request_changes"]["messages"]
    assert changes == ["messages[0]: an image was left out", "messages[1]: an image was left out"]


async def test_who_turns_warnings_into_errors_is_told_which_models_read_images(
    ask: Ask, service: Scripted
) -> None:
    thread = [HumanMessage([IMAGE]), AIMessage("Nice."), HI]
    warnings.simplefilter("error", DashScopeWarning)
    with pytest.raises(DashScopeUnsupportedError, match=r"v4\.1-flash"):
        await ask(service.model(), thread)


# --- A call that stands in the text ---

MARKUP = {
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look",
    "<｜DSML｜": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="look">',
    "<function_calls>": "Let me look.\n<function_calls>\n<invoke name='look'>",
    "<tool_call>": '<tool_call>\n{"name": "look"}\n</tool_call>',
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("marker", MARKUP)
async def test_a_call_that_stands_in_the_text_is_said(
    marker: str, ask: Ask, service: Scripted
) -> None:
    """An agent takes it for a final answer; a middleware can ask again."""
    service.answer(answer_of(MARKUP[marker]))
    with pytest.warns(DashScopeWarning, match="wrote a tool call into its text") as caught:
        message = await ask(service.model(), "hi", tools=[TOOL])
    assert len(caught) == 1
    assert message.response_metadata["tool_call_markup"] == marker
    assert (message.text, message.tool_calls) == (MARKUP[marker], [])


@pytest.mark.parametrize(
    ("text", "tools"), [(MARKUP["<｜DSML｜"], None), ("a < b, <b>tool</b> calls", [TOOL])]
)
async def test_other_texts_are_answers(text: str, tools: Any, ask: Ask, service: Scripted) -> None:
    service.answer(answer_of(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = await ask(service.model(), "hi", tools=tools)
    assert "tool_call_markup" not in message.response_metadata


# --- Usage ---


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3}, (5, 3, 8, None)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9}, (5, 3, 9, None)),
        ({"input_tokens": 5, "output_tokens": 3, "cached_tokens": 2}, (5, 3, 8, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_cache_hit_tokens": 2}, (5, 3, 8, 2)),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details":
             {"cached_tokens": 1}, "prompt_cache_hit_tokens": 2}, (5, 3, 8, 1),
        ),
        ({"total_tokens": 8}, None),
        ({"input_tokens": 5, "total_tokens": 8}, None),
        ({"output_tokens": 3, "total_tokens": 8}, None),
        ({"input_tokens": "5", "output_tokens": 3}, None),
    ],
)  # fmt: skip
async def test_usage_is_read_whole_or_not_at_all(
    usage: dict[str, Any], read: tuple[int, int, int, int | None] | None, ask: Ask,
    service: Scripted,
) -> None:  # fmt: skip
    service.answer({**answer_of(), "usage": usage})
    counted = (await ask(service.model(), "hi")).usage_metadata
    if read is None:
        assert counted is None
        return
    assert counted is not None
    cached = counted.get("input_token_details", {}).get("cache_read")
    totals = tuple(counted[key] for key in ("input_tokens", "output_tokens", "total_tokens"))
    assert (*totals, cached) == read
