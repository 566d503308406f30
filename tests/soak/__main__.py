"""Run the soak and print a line for each round: `make soak STREAMS=50000`."""

from __future__ import annotations

import argparse
import sys

from tests.soak.soak import HEADINGS, TOLERANCE, Soak, server

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--streams", type=int, default=50_000)
parser.add_argument("--rounds", type=int, default=12)
options = parser.parse_args()

with server() as port:
    soak = Soak(port)
    print(HEADINGS)
    for done in soak.run(options.streams, options.rounds):
        print(done, flush=True)

growth = soak.growth()
print(f"memory of the last third of rounds against the second: {growth:+.1%}")
if growth > TOLERANCE:
    soak.faults.append("memory grows")
print(f"faults: {len(soak.faults)}", *soak.faults[:20], sep="\n")
sys.exit(bool(soak.faults))
