"""What a page shows of what its code prints, beside what it printed.

A ```text block right under a block of code is all that the block prints. Without one, a comment behind a
`print` is what that `print` prints. Of ids only the form counts, and `...` stands for anything else that
differs from run to run, or is long. What shows nothing may print a model's own words alone.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, GenerationChunk, LLMResult
from langchain_core.tracers.context import register_configure_hook

_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_ID = re.compile(
    r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|call_[0-9a-f]{22})\b"
)


def shown_under(page: str) -> list[str | None]:
    """Return, for each block of Python of a page, the output that stands right under it."""
    return [match[2] for match in _BLOCK.finditer(page)]


def fits(shown: str, printed: str) -> bool:
    """Tell whether what is shown is what was printed."""
    shown, printed = (
        _ID.sub("<id>", "\n".join(map(str.rstrip, text.strip().splitlines())))
        for text in (shown, printed)
    )
    pattern = ".+?".join(map(re.escape, shown.split("...")))
    return shown != "..." and re.fullmatch(pattern, printed, re.DOTALL) is not None


class Printer:
    """Stands in for `print`, and notes which line of a block printed what."""

    def __init__(self) -> None:
        """Have nothing printed yet."""
        self.printed: list[tuple[int, str]] = []

    def __call__(self, *values: object, **options: Any) -> None:
        """Print."""
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        text = io.StringIO()
        print(*values, **options, file=text)
        self.printed.append((frame.f_back.f_lineno, text.getvalue()))
        print(*values, **options)


class Said(BaseCallbackHandler):
    """Gathers what models say: their answers, and the chunks of them."""

    def __init__(self) -> None:
        """Have nothing heard yet."""
        self.texts = {""}

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """Take a chunk."""
        if isinstance(chunk, ChatGenerationChunk):
            self._add(chunk)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Take an answer."""
        for generation in response.generations[0]:
            if isinstance(generation, ChatGeneration):
                self._add(generation)

    def _add(self, generation: ChatGeneration) -> None:
        reasoning = generation.message.additional_kwargs.get("reasoning_content", "")
        self.texts |= {generation.text.strip(), reasoning.strip()}


_LISTENING: ContextVar[Said | None] = ContextVar("listening", default=None)
register_configure_hook(_LISTENING, inheritable=True)


@contextmanager
def listening() -> Iterator[Said]:
    """Hear what every model says."""
    said = Said()
    token = _LISTENING.set(said)
    yield said
    _LISTENING.reset(token)


def comments(source: str) -> dict[int, str]:
    """Return the comments behind each `print`, by the first line of it."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    return {
        node.lineno: by_line[node.end_lineno].removeprefix("# ")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        if node.end_lineno in by_line
    }


def untruths(
    source: str,
    under: str | None,
    printed: list[tuple[int, str]],
    output: str,
    said: set[str],
) -> Iterator[str]:
    """Say where a block shows something else than it printed, or nothing where it must.

    Args:
        source: The block.
        under: The output that stands right under it.
        printed: What each `print` printed, with its line.
        output: All that was printed.
        said: What the models said.
    """
    if under is not None:
        if not fits(under, output):
            yield f"under it stands\n{under}\nand it printed\n{output}"
        return
    if output != "".join(text for _, text in printed):
        yield f"nothing shows what it printed:\n{output}"
    by_line: dict[int, list[str]] = defaultdict(list)
    for line, text in printed:
        by_line[line].append(text)
    shown = comments(source)
    for line in sorted(by_line.keys() | shown.keys()):
        all_of_it = "".join(by_line[line]).strip()
        if line in shown:
            if not fits(shown[line], all_of_it):
                yield f"line {line} shows {shown[line]!r}, and printed {all_of_it!r}"
        elif all_of_it not in said and not {text.strip() for text in by_line[line]} <= said:
            yield f"line {line} shows nothing, and printed {all_of_it!r}"
