"""The test that docs/serving.md shows passes, and fails for a server that is written wrongly."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from docs.check_types import chains
from tests.unit_tests.test_testing_page import DOCS, run


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
    with pytest.raises(AssertionError, match="disconnects == 1"):
        run(tests, tmp_path)
