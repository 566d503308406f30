"""The page of docs/examples/web in a real browser: a chat, and an agent that asks for approval.

The app is a process of its own and the browser is headless Chromium; the emulator is in here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.running import find_browser, running
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = [pytest.mark.emulator_only, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LONG = [f"word{n} " for n in range(2000)]


@contextmanager
def serving(log: Path, settings: dict[str, str]) -> Iterator[str]:
    command = ["-W", "error", "-m", "docs.examples.web", "--port", "0"]
    with running(command, log, settings) as address:
        yield address


@pytest.fixture(scope="module")
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def address(emulator: DashScopeEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {
        "DASHSCOPE_API_KEY": emulator.api_key,
        "DASHSCOPE_HTTP_BASE_URL": emulator.base_url,
    }
    with serving(tmp_path_factory.mktemp("web") / "log", settings) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed")
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        # Chromium's sandbox needs rights that containers do not give.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tabs:
    """Opens pages, and keeps what their consoles say."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.context = browser.new_context()
        self.complaints: list[str] = []
        self._address = address

    def open(
        self, viewport: tuple[int, int] = (1100, 800), *, dark: bool = False, path: str = "/"
    ) -> Page:
        page = self.context.new_page()
        page.set_viewport_size({"width": viewport[0], "height": viewport[1]})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self._address + path)
        # If a test put the focus elsewhere first, Chromium would complain.
        expect(page.get_by_label("Your question")).to_be_focused()
        return page


@pytest.fixture
def tabs(browser: Browser, address: str, emulator: DashScopeEmulator) -> Iterator[Tabs]:
    """Whatever a test does, nothing stands in the console and no stream stays open."""
    tabs = Tabs(browser, address)
    yield tabs
    tabs.context.close()
    assert tabs.complaints == []
    assert eventually(lambda: emulator.open_streams == 0)
    emulator.clear()


def ask(page: Page, question: str) -> Locator:
    """Send a question with Enter, and give what is shown of it."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    return page.locator("article").last


def answer(turn: Locator) -> Locator:
    return turn.locator(".answer")


def assert_whole(turn: Locator) -> None:
    expect(answer(turn)).to_have_attribute("aria-busy", "false")
    expect(turn.locator(".facts")).to_contain_text("request")


def axe_violations(page: Page) -> list[tuple[str, list[str]]]:
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run().then((found) => found.violations)")
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def overflow(page: Page) -> int:
    """How far the page can be scrolled to the side, in pixels."""
    width: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width


# --- An answer ---


def test_reasoning_and_answer_are_shown(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply("Light **scatters**.", reasoning="Let me think.")
    turn = ask(tabs.open(), "Why is the sky blue?")
    assert_whole(turn)
    expect(turn.locator("h2")).to_have_text("Why is the sky blue?")
    expect(answer(turn)).to_have_text("Light scatters.")
    expect(answer(turn).locator("strong")).to_have_text("scatters")
    turn.locator("summary").click()
    expect(turn.locator(".thought")).to_have_text("Let me think.")
    expect(turn.locator(".thought")).to_be_visible()
    expect(turn.locator(".facts")).to_have_text(
        re.compile(
            r"deepseek-v4\.1-flash · \d+ tokens in, \d+ out .*reasoning.* · request [\w-]{36}"
        )
    )


def test_reasoning_is_open_while_the_model_thinks(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply("Done.", reasoning=" ".join(LONG), piece_delay=0.05)
    page = tabs.open()
    turn = ask(page, "Think.")
    expect(turn.locator(".thought")).to_contain_text("word5")
    expect(turn.locator(".thought")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Thinking…")


def test_the_answer_is_read_as_markdown(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply(
        "# Title\nOne `x` and\ntwo, [more](https://example.com/a).\n\n- a\n  continued\n  1. **b**\n\n- c\n\n"
        "```python\nif 1 < 2:\n\n    print('**no**')\n```\n\n3. three\n\n*Last* and **open, 2 * 3 * 4"
    )
    turn = ask(tabs.open(), "Hello")
    assert_whole(turn)
    assert answer(turn).inner_html() == (
        "<h3>Title</h3><p>One <code>x</code> and\ntwo, "
        '<a href="https://example.com/a" target="_blank" rel="noopener noreferrer">more</a>.</p>'
        '<ul><li>a continued<ol start="1"><li><strong>b</strong></li></ol></li><li>c</li></ul>'
        "<pre tabindex=\"0\"><code>if 1 &lt; 2:\n\n    print('**no**')</code></pre>"
        '<ol start="3"><li>three</li></ol><p><em>Last</em> and **open, 2 * 3 * 4</p>'
    )


def test_markup_in_an_answer_is_text(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) `<script>alert(1)</script>`"
    emulator.reply(evil, reasoning=evil)
    page = tabs.open()
    page.on("dialog", lambda dialog: pytest.fail(f"{dialog.message!r} ran"))
    turn = ask(page, evil)
    assert_whole(turn)
    expect(answer(turn)).to_have_text(evil.replace("`", ""))
    assert turn.locator("img, script, a").count() == 0


def test_the_next_question_brings_the_conversation(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply("First answer.")
    page = tabs.open()
    assert_whole(ask(page, "First"))
    assert_whole(ask(page, "Second"))
    sent = emulator.requests[-1].body["input"]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert "First answer." in str(sent[1]["content"])


def test_two_tabs_at_once_each_get_their_own_answer(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    emulator.reply(pieces=[f"left{n} " for n in range(40)], piece_delay=0.05)
    emulator.reply(pieces=[f"right{n} " for n in range(40)], piece_delay=0.05)
    left, right = tabs.open(), tabs.open()
    first = ask(left, "Left?")
    expect(answer(first)).to_contain_text("left1")
    second = ask(right, "Right?")
    expect(answer(second)).to_contain_text("right1")
    assert emulator.open_streams == 2
    for turn, name in ((first, "left"), (second, "right")):
        assert_whole(turn)
        expect(answer(turn)).to_have_text(" ".join(f"{name}{n}" for n in range(40)))


def test_shift_enter_and_an_input_method_do_not_send(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    page = tabs.open()
    box = page.get_by_label("Your question")
    box.fill("one")
    box.press("Shift+Enter")
    box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(box).to_have_value("one\n")
    assert emulator.requests == []


# --- Letting go ---


def test_stop_drops_the_connection_to_the_service(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    before = emulator.disconnects
    emulator.reply(pieces=LONG, piece_delay=0.05)
    page = tabs.open()
    turn = ask(page, "Talk.")
    expect(answer(turn)).to_contain_text("word3")
    page.get_by_role("button", name="Stop").click()
    expect(turn).to_contain_text("Stopped.")
    assert eventually(lambda: emulator.disconnects == before + 1)
    assert eventually(lambda: emulator.open_streams == 0)
    expect(answer(turn)).to_contain_text("word3")
    assert_whole(ask(page, "And now?"))
    assert "word3" in str(emulator.requests[-1].body["input"]["messages"][1])


def test_stop_need_not_wait_for_the_next_word(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    before = emulator.disconnects
    emulator.stall(3, 2 * PATIENCE_SECONDS)
    page = tabs.open()
    turn = ask(page, "Talk.")
    expect(answer(turn)).to_contain_text("piece")
    page.keyboard.press("Escape")
    expect(turn).to_contain_text("Stopped.")
    assert eventually(lambda: emulator.disconnects == before + 1)


def test_a_stopped_answer_can_be_asked_for_again(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply("Never seen.", delay=2 * PATIENCE_SECONDS)
    page = tabs.open()
    turn = ask(page, "Talk.")
    assert eventually(lambda: len(emulator.requests) == 1)
    page.get_by_role("button", name="Stop").click()
    turn.get_by_role("button", name="Try again").click()
    assert_whole(turn)
    expect(turn).not_to_contain_text("Stopped.")


def test_a_reload_lets_go_and_leaves_an_empty_page_that_works(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.reply(pieces=LONG, piece_delay=0.05)
    page = tabs.open()
    expect(answer(ask(page, "Talk."))).to_contain_text("word3")
    page.reload()
    assert eventually(lambda: emulator.disconnects == before + 1)
    assert page.locator("article").count() == 0
    expect(page.get_by_label("Your question")).to_have_value("")
    assert_whole(ask(page, "Hello again"))
    assert len(emulator.requests[-1].body["input"]["messages"]) == 1


# --- Errors ---


def assert_shown(turn: Locator, *texts: str) -> None:
    error = turn.get_by_role("alert")
    for text in texts:
        expect(error).to_contain_text(text)
    expect(error.locator(".id")).to_have_text(REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("Throttling.RateQuota", 429, "Asking again may help."),
        ("InvalidParameter", 400, "Asking the same again is not likely to help."),
    ],
)
def test_a_refusal_is_shown_and_can_be_tried_again(
    code: str, status: int, advice: str, tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    attempts = 3 if status == 429 else 1
    emulator.fail(code, "No.", status=status, headers={"retry-after": "0"}, times=attempts)
    turn = ask(tabs.open(), "Hello")
    assert_shown(turn, code, f"HTTP {status}", "No.", advice)
    turn.get_by_role("button", name="Try again").click()
    assert_whole(turn)
    expect(turn.get_by_role("alert")).to_have_count(0)
    assert len(emulator.requests) == attempts + 1


@pytest.mark.parametrize("how", ["close", "clean"])
def test_a_cut_answer_is_an_error_that_leaves_what_had_come(
    how: Literal["close", "clean"], tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    emulator.cut(3, how=how)
    page = tabs.open()
    turn = ask(page, "Hello")
    assert_shown(turn, "No whole answer", "Asking again may help.")
    expect(answer(turn)).to_have_text("piece 1 piece 2 piece 3")
    turn.get_by_role("button", name="Try again").click()
    assert_whole(turn)
    expect(answer(turn)).to_contain_text("emulator")
    assert len(emulator.requests[-1].body["input"]["messages"]) == 1


def test_what_failed_is_not_part_of_the_conversation(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    emulator.cut(3)
    page = tabs.open()
    assert_shown(ask(page, "Hello"), "No whole answer")
    assert_whole(ask(page, "Something else"))
    assert len(emulator.requests[-1].body["input"]["messages"]) == 1


# --- The agent ---

FIND = {"name": "find_order", "arguments": {"number": 7}}


def refund(number: int = 7, reason: str = "It is broken.") -> dict[str, Any]:
    arguments = {"number": number, "amount": 39, "reason": reason}
    return {"name": "refund_order", "arguments": arguments}


def script_refund(emulator: DashScopeEmulator) -> None:
    emulator.reply(reasoning="Look first.", tool_calls=[FIND])
    emulator.reply("It is due.", reasoning="Broken.", tool_calls=[refund()])


def call(turn: Locator, name: str) -> Locator:
    return turn.locator("details.call").filter(has=turn.page.locator("code", has_text=name))


def sent(emulator: DashScopeEmulator, role: str) -> list[str]:
    """The messages of a role in the last request."""
    messages = emulator.requests[-1].body["input"]["messages"]
    return [str(message["content"]) for message in messages if message["role"] == role]


def test_a_call_waits_for_approval_and_then_runs(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    script_refund(emulator)
    emulator.reply("It is **refunded**.", reasoning="Done.")
    page = tabs.open(path="/agent")
    turn = ask(page, "Refund order 7.")

    expect(call(turn, "refund_order")).to_contain_text("needs your approval")
    expect(page.get_by_role("status")).to_contain_text("Approve or reject")
    assert call(turn, "refund_order").locator("dl > *").all_inner_texts() == [
        *("number", "7"),
        *("amount", "39"),
        *("reason", "It is broken."),
    ]
    expect(call(turn, "find_order")).to_contain_text("done")
    call(turn, "find_order").locator("summary").click()
    expect(call(turn, "find_order").locator("p")).to_have_text(re.compile("Order 7: one kettle"))
    assert len(emulator.requests) == 2

    turn.get_by_role("button", name="Approve").click()
    expect(call(turn, "refund_order")).to_contain_text("Refunded 39.00 EUR for order 7")
    expect(turn.locator(".facts")).to_contain_text("request")
    expect(answer(turn).last).to_have_text("It is refunded.")
    assert answer(turn).all_inner_texts() == ["", "It is due.", "It is refunded."]
    assert turn.locator(".thought").all_text_contents() == ["Look first.", "Broken.", "Done."]
    expect(turn.get_by_role("button")).to_have_count(0)
    assert "Refunded 39.00 EUR" in sent(emulator, "tool")[-1]


def test_a_rejected_call_does_not_run(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    script_refund(emulator)
    emulator.reply("It is not refunded.")
    turn = ask(tabs.open(path="/agent"), "Refund order 7.")
    turn.get_by_role("button", name="Reject").click()
    expect(turn.locator(".facts")).to_contain_text("request")
    expect(call(turn, "refund_order").locator("summary")).to_have_text("refund_order rejected")
    expect(answer(turn).last).to_have_text("It is not refunded.")
    assert "rejected" in sent(emulator, "tool")[-1]
    assert "Refunded" not in turn.inner_text()


def test_each_of_several_calls_is_decided(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply(tool_calls=[refund(7), FIND, refund(8)])
    emulator.reply("Done.")
    turn = ask(tabs.open(path="/agent"), "Refund orders 7 and 8.")
    expect(call(turn, "refund_order")).to_have_count(2)
    call(turn, "refund_order").last.get_by_role("button", name="Reject").click()
    expect(turn.get_by_role("button")).to_have_count(2)
    assert len(emulator.requests) == 1
    turn.get_by_role("button", name="Approve").click()
    expect(turn.locator(".facts")).to_contain_text("request")
    expect(call(turn, "refund_order").first).to_contain_text("done")
    expect(call(turn, "refund_order").first).to_contain_text("Refunded 39.00 EUR for order 7")
    expect(call(turn, "refund_order").last).to_contain_text("rejected")
    expect(call(turn, "find_order")).to_contain_text("done")
    assert sum("Refunded" in text for text in sent(emulator, "tool")) == 1


def test_no_question_is_sent_before_the_decision(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    script_refund(emulator)
    page = tabs.open(path="/agent")
    turn = ask(page, "Refund order 7.")
    expect(turn.get_by_role("button", name="Approve")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_have_attribute("aria-disabled", "true")
    assert ask(page, "And order 8?").locator("h2").inner_text() == "Refund order 7."
    assert len(emulator.requests) == 2


def test_a_page_has_a_thread_of_its_own(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.reply("First answer.")
    page = tabs.open(path="/agent")
    assert_whole(ask(page, "First"))
    assert_whole(ask(page, "Second"))
    assert sent(emulator, "user") == ["[{'text': 'First'}]", "[{'text': 'Second'}]"]
    assert "First answer." in sent(emulator, "assistant")[0]
    assert_whole(ask(tabs.open(path="/agent"), "Third"))
    assert sent(emulator, "user") == ["[{'text': 'Third'}]"]


def test_a_call_is_approved_with_the_keyboard(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    script_refund(emulator)
    page = tabs.open(path="/agent")
    turn = ask(page, "Refund order 7.")
    expect(turn.get_by_role("group", name="Decide on refund_order")).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(turn.get_by_role("button", name="Reject")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(turn.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(call(turn, "refund_order").locator("summary")).to_be_focused()
    expect(call(turn, "refund_order")).to_contain_text("Refunded 39.00 EUR")
    expect(turn.locator(".facts")).to_contain_text("request")


@pytest.mark.parametrize("silent", [False, True], ids=["streaming", "silent"])
def test_stop_ends_the_agents_request_to_the_service(
    silent: bool, tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.reply(reasoning="Look first.", tool_calls=[FIND])
    if silent:
        emulator.stall(3, 2 * PATIENCE_SECONDS)
    else:
        emulator.reply(pieces=LONG, piece_delay=0.05)
    page = tabs.open(path="/agent")
    turn = ask(page, "Is order 7 due?")
    expect(answer(turn).last).to_contain_text("piece" if silent else "word3")
    page.get_by_role("button", name="Stop").click()
    expect(turn).to_contain_text("Stopped.")
    assert eventually(lambda: emulator.disconnects == before + 1)

    emulator.reply("Yes.")
    turn.get_by_role("button", name="Try again").click()
    expect(turn.locator(".facts")).to_contain_text("request")
    assert answer(turn).all_inner_texts() == ["", "Yes."]
    expect(call(turn, "find_order")).to_have_count(1)
    assert sent(emulator, "user") == ["[{'text': 'Is order 7 due?'}]"]


def test_stop_ends_the_request_that_follows_an_approval(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    script_refund(emulator)
    emulator.stall(3, 2 * PATIENCE_SECONDS)
    page = tabs.open(path="/agent")
    turn = ask(page, "Refund order 7.")
    turn.get_by_role("button", name="Approve").click()
    expect(answer(turn).last).to_contain_text("piece")
    page.keyboard.press("Escape")
    expect(turn).to_contain_text("Stopped.")
    assert eventually(lambda: emulator.disconnects == before + 1)


def test_an_error_after_a_refund_is_shown_and_trying_again_does_not_repeat_it(
    tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    script_refund(emulator)
    emulator.fail("InvalidParameter", "No.")
    emulator.reply("It is refunded.")
    turn = ask(tabs.open(path="/agent"), "Refund order 7.")
    turn.get_by_role("button", name="Approve").click()
    assert_shown(turn, "InvalidParameter", "HTTP 400", "No.")
    turn.get_by_role("button", name="Try again").click()
    expect(turn.locator(".facts")).to_contain_text("request")
    expect(turn.get_by_role("alert")).to_have_count(0)
    expect(answer(turn).last).to_have_text("It is refunded.")
    expect(call(turn, "refund_order")).to_have_count(1)
    assert sum("Refunded" in text for text in sent(emulator, "tool")) == 1


def test_markup_in_a_call_is_text(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    emulator.reply(tool_calls=[refund(reason=evil)])
    page = tabs.open(path="/agent")
    page.on("dialog", lambda dialog: pytest.fail(f"{dialog.message!r} ran"))
    turn = ask(page, "Refund order 7.")
    expect(turn.locator("dd").last).to_have_text(evil)
    turn.get_by_role("button", name="Approve").click()
    expect(call(turn, "refund_order").locator("p")).to_contain_text(evil)
    assert turn.locator("img, script").count() == 0


def events_of(response: httpx.Response) -> list[tuple[str, Any]]:
    assert response.status_code == 200
    pairs = re.findall(r"event: (.*)\ndata: (.*)\n\n", response.text)
    return [(name, json.loads(data)) for name, data in pairs]


def test_an_approval_is_applied_once(address: str, emulator: DashScopeEmulator) -> None:
    script_refund(emulator)
    thread = {"thread_id": str(uuid4())}
    question = {**thread, "id": str(uuid4()), "text": "Refund order 7."}
    *_, (name, request) = events_of(httpx.post(f"{address}/agent", json=question))
    assert name == "approval"
    approval = {**thread, "request_id": request["id"], "decisions": ["approve"]}
    refused = [
        {**approval, "decisions": ["approve", "approve"]},
        {**approval, "request_id": "another"},
        {**approval, "thread_id": str(uuid4())},
    ]
    for body in refused:
        (error,) = events_of(httpx.post(f"{address}/agent/decisions", json=body))
        assert error[1]["code"] == "NotPending"
    first, second = (
        events_of(httpx.post(f"{address}/agent/decisions", json=approval)) for _ in range(2)
    )
    assert [data["text"] for name, data in first if name == "result"] == [
        "Refunded 39.00 EUR for order 7: It is broken."
    ]
    assert [data["code"] for _, data in second] == ["NotPending"]
    emulator.clear()


@pytest.mark.parametrize("thread_id", ["1", "", None, 7])
def test_a_thread_id_that_can_be_guessed_is_refused(
    thread_id: object, address: str, emulator: DashScopeEmulator
) -> None:
    question = {"thread_id": thread_id, "id": str(uuid4()), "text": "Hello"}
    assert httpx.post(f"{address}/agent", json=question).status_code == 422
    assert emulator.requests == []


# --- Requests that do not come from the page ---

BODY = b'{"messages": [{"role": "user", "content": "Hello"}]}'
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/chat", "/agent", "/agent/decisions"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
@pytest.mark.parametrize(
    "origin", ["https://evil.test", "http://127.0.0.1:1", "null", "http://127.0.0.1.evil.test"]
)
def test_a_question_of_another_origin_is_refused(
    origin: str, content_type: str | None, path: str, address: str, emulator: DashScopeEmulator
) -> None:
    headers = {"origin": origin, **({"content-type": content_type} if content_type else {})}
    assert httpx.post(address + path, content=BODY, headers=headers).status_code == 403
    assert emulator.requests == []


@pytest.mark.parametrize("named", ["own", "none"])
def test_a_question_of_the_pages_origin_or_of_no_page_is_answered(
    named: str, address: str, emulator: DashScopeEmulator
) -> None:
    headers = {**JSON, **({"origin": address} if named == "own" else {})}
    assert httpx.post(f"{address}/chat", content=BODY, headers=headers).status_code == 200
    assert len(emulator.requests) == 1
    emulator.clear()


@pytest.mark.parametrize("path", ["/chat", "/agent", "/agent/decisions"])
@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (BODY.ljust(2**20 + 1), {}),
        (iter([BODY]), {}),
        (BODY, {"transfer-encoding": "chunked", "content-length": "1"}),
    ],
)
def test_a_question_is_refused_that_is_too_long_or_does_not_say_how_long(
    content: Any, headers: dict[str, str], path: str, address: str, emulator: DashScopeEmulator
) -> None:
    refused = httpx.post(address + path, content=content, headers={**JSON, **headers})
    assert refused.status_code == 413
    assert emulator.requests == []


def test_a_question_may_be_as_long_as_the_limit(address: str, emulator: DashScopeEmulator) -> None:
    allowed = httpx.post(f"{address}/chat", content=BODY.ljust(2**20), headers=JSON)
    assert allowed.status_code == 200
    emulator.clear()


@pytest.mark.parametrize("path", ["/chat", "/agent", "/agent/decisions"])
def test_a_request_for_another_host_is_refused(
    path: str, address: str, emulator: DashScopeEmulator
) -> None:
    headers = {**JSON, "host": "evil.test"}
    assert httpx.post(address + path, content=BODY, headers=headers).status_code == 400
    assert emulator.requests == []


@pytest.mark.parametrize("path", ["/", "/agent"])
def test_the_page_runs_no_other_script_and_is_in_no_frame(path: str, address: str) -> None:
    policy = httpx.get(address + path).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy


# --- Everybody can use it ---


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [(1100, 800), (375, 667)], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    viewport: tuple[int, int], dark: bool, tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    emulator.reply(
        f"# Title\n\n**{'wide' * 50}** and [link](https://example.com/)\n\n- `{'code' * 50}`\n\n"
        f"```\n{'wide ' * 60}\n```",
        reasoning="thought" * 50,
    )
    emulator.fail("InvalidParameter", "wrong" * 50)
    emulator.cut(3)
    page = tabs.open(viewport, dark=dark)
    turn = ask(page, "question" * 30)
    assert_whole(turn)
    turn.locator("summary").click()
    assert_shown(ask(page, "Refused?"), "InvalidParameter")
    assert_shown(ask(page, "Cut?"), "No whole answer")

    assert overflow(page) == 0
    assert axe_violations(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [(1100, 800), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_an_agents_turn_and_nothing_sticks_out(
    viewport: tuple[int, int], dark: bool, tabs: Tabs, emulator: DashScopeEmulator
) -> None:
    script_refund(emulator)
    emulator.reply("Done.", tool_calls=[refund(8, reason="wide" * 50)])
    page = tabs.open(viewport, dark=dark, path="/agent")
    assert axe_violations(page) == []
    turn = ask(page, "Refund order 7.")
    turn.get_by_role("button", name="Approve").click()
    expect(call(turn, "refund_order").last).to_contain_text("needs your approval")
    turn.locator("details").evaluate_all("all => all.forEach((fold) => { fold.open = true; })")
    assert overflow(page) == 0
    assert axe_violations(page) == []


def test_everything_can_be_done_with_the_keyboard(tabs: Tabs, emulator: DashScopeEmulator) -> None:
    emulator.fail("InvalidParameter")
    emulator.reply("There.", reasoning="Hm.")
    page = tabs.open()
    page.keyboard.type("Hello")  # the box has the focus from the start
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Send
    turn = page.locator("article")
    assert_shown(turn, "InvalidParameter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # Try again
    assert_whole(turn)
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # the fold
    expect(turn.locator(".thought")).to_be_visible()


# --- Without a key ---


def test_without_a_key_the_emulator_gives_a_slow_answer(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "log", {}) as address:
        tabs = Tabs(browser, address)
        turn = ask(tabs.open(), "Why is the sky blue?")
        assert_whole(turn)
        expect(answer(turn).locator("li")).to_have_count(3)
        expect(answer(turn)).to_contain_text("The emulator gives this answer")
        tabs.context.close()
        assert tabs.complaints == []


def test_without_a_key_the_emulator_takes_the_agents_steps_each_time(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path / "log", {}) as address:
        tabs = Tabs(browser, address)
        page = tabs.open(path="/agent")
        for decision, state in (("Approve", "done"), ("Reject", "rejected")):
            turn = ask(page, "Refund order 7.")
            turn.get_by_role("button", name=decision).click()
            expect(turn.locator(".facts")).to_contain_text("request")
            expect(call(turn, "find_order")).to_contain_text("done")
            expect(call(turn, "refund_order").locator("summary")).to_contain_text(state)
            expect(answer(turn).last).to_contain_text("Order 7 is settled")
        tabs.context.close()
        assert tabs.complaints == []
