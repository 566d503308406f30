"""The tests that docs/testing.md shows pass as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from docs.check_types import chains

DOCS = Path(__file__).parents[2] / "docs"
PLUGIN, TESTING, *_ = chains((DOCS / "testing.md").read_text(encoding="utf-8"))


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    run(TESTING, tmp_path)


def run(tests: list[str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("\n".join(PLUGIN), encoding="utf-8")
    source = "\n".join(tests)
    (tmp_path / "test_page.py").write_text(source, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{source.count('def test_')} passed" in done.stdout, done.stdout + done.stderr
