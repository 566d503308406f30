"""The command: prints an estimate, then each finding, and writes a JSON report."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten

from langchain_dashscope_deepseek._dashscope.protocol.redaction import LONGEST_MESSAGE
from langchain_dashscope_deepseek._dashscope.regions import host_of
from langchain_dashscope_deepseek._dashscope.transport.endpoint import authorization
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import (
    MODELS,
    UNKNOWN_MODEL,
    ModelCapabilities,
    find_capabilities,
)
from langchain_dashscope_deepseek.chat_models import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.doctor._asking import Doctor, Finding
from langchain_dashscope_deepseek.errors import DashScopeError

_SECONDS = 120
_INTERRUPTED = 130
_HELP = """\
Sends tiny requests, without the chat model's checks, to the service that the environment
configures (DASHSCOPE_API_KEY, DASHSCOPE_REGION and so on), and compares the results with the
capability table.

  service  yes, no (refused or ignored), unclear (the answer does not show it),
           failed (rate limit, timeout, network or server error, exhausted quota)
  table    yes, no, not known
  DIFFERS  service and table disagree

The check "route" has a route in both columns. While a model thinks, "yes" for tools and JSON means
that the request was accepted.
"""
_EXIT_CODES = """\
exit codes: 0, the checks were made, and all that works according to the table works or is unclear;
1, a check failed, or the service says no where the table says yes, or the run ended with an error,
such as a wrong key; 2, no request was sent; 130, stopped by Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    current = [name for name, row in MODELS.items() if row.status == "current"]
    rows = {name: find_capabilities(name) or UNKNOWN_MODEL for name in options.model or current}
    try:
        model = ChatDashScopeDeepSeek(model=next(iter(rows)), timeout=_SECONDS)
        authorization(model.api_key)
    except (ValueError, DashScopeError) as error:
        parser.error(str(error))
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    if options.json and options.json.is_dir():
        parser.error(f"--json: {options.json} is a folder, not a file")
    findings: list[Finding] = []
    with closing(Doctor(model)) as doctor:
        try:
            _show_estimate(doctor, model, rows.values())
            if not (options.yes or _is_confirmed()):
                return 2
            for finding in doctor.findings(rows, must_answer=bool(options.model)):
                _show(finding, findings)
                findings.append(finding)
        except DashScopeError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return _INTERRUPTED
        finally:
            if options.json and findings:
                options.json.write_text(_report(findings, doctor.region), encoding="utf-8")
    differing = sum(finding.differs for finding in findings)
    print(f"\n{doctor.requests:,} requests, {doctor.tokens:,} tokens. Differing: {differing}.")
    return int(any(finding.is_failure for finding in findings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_dashscope_deepseek.doctor",
        description=_HELP,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    default = "by default, the table's current models that the account has"
    add("--model", action="append", metavar="NAME", help=f"check this model; {default}")
    add("--yes", action="store_true", help="send the requests without asking for confirmation")
    add("--json", type=Path, metavar="FILE", help="write a report without key, workspace and host")
    return parser


def _show_estimate(
    doctor: Doctor, model: ChatDashScopeDeepSeek, rows: Collection[ModelCapabilities]
) -> None:
    requests = tokens = 0
    for row in rows:
        requests += len(row.routes) - 1
        for check in doctor.plan(row):
            sent = json.dumps([check.messages, check.parameters.get("tools")])
            requests += check.times
            tokens += check.times * (model.get_num_tokens(sent) + check.limit)
    print(
        f"{len(rows)} model(s): up to {requests:,} requests, about {tokens:,} tokens, to "
        f"{host_of(str(model.base_url))}.",
        flush=True,
    )


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        print("No request was sent: no terminal to confirm on. Add --yes.", file=sys.stderr)
        return False
    print("Send them? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(finding: Finding, before: Sequence[Finding]) -> None:
    """Print a finding; the first one of a model comes below the model's name."""
    if finding.model and (not before or before[-1].model != finding.model):
        print(f"\n{finding.model:<32}{'service':<23}table")
    differs = "DIFFERS" if finding.differs else ""
    note = shorten(finding.note, LONGEST_MESSAGE if finding.service == "failed" else 60)
    line = f"  {finding.check:<30}{finding.service:<23}{finding.table:<23}{differs:<9}{note}"
    print(line.rstrip(), flush=True)


def _report(findings: Sequence[Finding], region: str | None) -> str:
    report = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "langchain-dashscope-deepseek": __version__,
        "langchain-core": version("langchain-core"),
        "region": region,
        "findings": [{**asdict(f), "differs": f.differs} for f in findings],
    }
    return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
