"""Measures a scenario of one contender in a fresh process: `python -m benchmarks.measure`.

Prints its samples as JSON. What a peer warns of is its own affair.
"""

from __future__ import annotations

import argparse
import json
import warnings

from benchmarks.contenders import CONTENDERS
from benchmarks.scenarios import SCENARIOS, Bench


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="URL of benchmarks.server")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("scenario", choices=SCENARIOS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    bench = Bench(CONTENDERS[asked.contender], asked.server, asked.quick)
    print(json.dumps(SCENARIOS[asked.scenario].measure(bench)))


if __name__ == "__main__":
    main()
