"""The tests that docs/testing.md and docs/serving.md show pass as they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.check_types import chains

DOCS = Path(__file__).parents[2] / "docs"
PLUGIN, TESTING, *_ = chains((DOCS / "testing.md").read_text(encoding="utf-8"))


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    run(TESTING, tmp_path)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="agents show no tokens before 3.11")
def test_the_test_of_the_server_passes(tmp_path: Path) -> None:
    (tests,) = chains((DOCS / "serving.md").read_text(encoding="utf-8"))
    shutil.copy(DOCS / "examples" / "serving.py", tmp_path)
    run(tests, tmp_path)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="agents show no tokens before 3.11")
def test_the_test_of_the_server_fails_if_the_stream_is_not_read_in_a_task(tmp_path: Path) -> None:
    (tests,) = chains((DOCS / "serving.md").read_text(encoding="utf-8"))
    server = (DOCS / "examples" / "serving.py").read_text(encoding="utf-8")
    without = server.replace("aclosing(in_own_task(stream))", "aclosing(stream)")
    (tmp_path / "serving.py").write_text(without, encoding="utf-8")
    with pytest.raises(AssertionError, match="1 failed"):
        run(tests, tmp_path)


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
