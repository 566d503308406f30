"""Check the code in the docs as a user's type checkers do: run `python -m docs.check_types`.

Each block of Python is a file of its own, mypy is strict, and no setting of this repository helps.
A block that goes on from the one above says so, and stands in its file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVER = ROOT / "docs" / "examples" / "serving.py"
"""The code of docs/serving.md, which the test below it imports."""
GOES_ON = ("# Continues the block above.", "# 接上一段代码。")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def chains(page: str) -> Iterator[list[str]]:
    """Yield the blocks of a page, each with those that go on from it."""
    chain: list[str] = []
    for block in _BLOCK.findall(page):
        if not block.startswith(GOES_ON) and chain:
            yield chain
            chain = []
        chain.append(block)
    if chain:
        yield chain


def write_files(folder: Path, pages: Sequence[Path]) -> list[str]:
    """Write a file for each chain of blocks; give their names."""
    names = []
    for page in pages:
        for number, chain in enumerate(chains(page.read_text(encoding="utf-8")), start=1):
            name = f"{re.sub(r'[^a-z]', '_', page.stem.lower())}_{number}.py"
            (folder / name).write_text("\n\n".join(chain), encoding="utf-8")
            names.append(name)
    return names


def main() -> int:
    """Run both checkers; tell whether both had nothing to say."""
    binaries = Path(sys.executable).parent
    paths = {"PYTHONPATH": str(ROOT), "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    with TemporaryDirectory() as folder:
        names = write_files(Path(folder), PAGES)
        shutil.copy(SERVER, folder)
        commands = (
            [sys.executable, "-m", "mypy", "--strict", "--config-file=", *names],
            [sys.executable, "-m", "pyright"],
        )
        codes = [
            subprocess.run(command, cwd=folder, env={**os.environ, **paths}, check=False).returncode  # noqa: S603 - ours
            for command in commands
        ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
