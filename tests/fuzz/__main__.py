"""Let atheris look for bytes that break what holds for any bytes: `make fuzz SECONDS=600`.

Arguments are libFuzzer's. What it learns and what it finds is kept in `.fuzz/`, where the next run
goes on. A finding is called `crash-...`; CONTRIBUTING says what to do with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["langchain_dashscope_deepseek", "httpx_sse"]):
    from tests.fuzz.one_input import TOKENS, check, seeds


def _quoted(token: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in token.encode()) + '"'


folder = Path(".fuzz")
corpus, words = folder / "corpus", folder / "words"
corpus.mkdir(parents=True, exist_ok=True)
for name, data in seeds().items():
    (corpus / name).write_bytes(data)
words.write_text("".join(f"{_quoted(token)}\n" for token in TOKENS), encoding="ascii")
options = [f"-dict={words}", f"-artifact_prefix={folder}/"]
atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], check)
atheris.Fuzz()
