"""Let atheris look for bytes that break what holds for any bytes: `make fuzz SECONDS=600`.

The first argument is the target, `body` or `connection`; the others are libFuzzer's. What it learns and what it finds is kept in `.fuzz/`, where the next run
goes on. A finding is called `crash-...`; CONTRIBUTING says what to do with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["langchain_dashscope_deepseek", "httpx_sse"]):
    from tests.fuzz import one_connection, one_input


def _quoted(token: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in token.encode("latin-1")) + '"'


target = {"body": one_input, "connection": one_connection}[sys.argv.pop(1)]
folder = Path(".fuzz") / target.__name__.rpartition(".")[2]
corpus, words = folder / "corpus", folder / "words"
corpus.mkdir(parents=True, exist_ok=True)
for name, data in target.seeds().items():
    (corpus / name).write_bytes(data)
words.write_text("".join(f"{_quoted(token)}\n" for token in target.TOKENS), encoding="ascii")
options = [f"-dict={words}", f"-artifact_prefix={folder}/"]
atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], target.check)
atheris.Fuzz()
