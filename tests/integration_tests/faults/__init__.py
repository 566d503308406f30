"""The fault table: each fault, how to simulate it over a socket, and the expected outcome.

`test_faults.py` runs every fault in every call style, and `docs/test-evidence.md` shows the table.
`stage.py` has the servers and proxies.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.integration_tests.faults.behind import BEHIND
from tests.integration_tests.faults.connections import CONNECTIONS
from tests.integration_tests.faults.cuts import CUTS
from tests.integration_tests.faults.fields import FIELDS, VALUES, Field
from tests.integration_tests.faults.floods import FLOODS
from tests.integration_tests.faults.oddities import ODDITIES
from tests.integration_tests.faults.refusals import REFUSALS
from tests.integration_tests.faults.what import Answers, Fails, Fault, Outcome

__all__ = ["FAULTS", "FIELDS", "VALUES", "Answers", "Fails", "Fault", "Field", "Outcome"]

FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "Errors from the service": REFUSALS,
    "Connection failures": CONNECTIONS,
    "Interrupted and stalled answers": CUTS,
    "Data after the answer": BEHIND,
    "Unusual or malformed answers": ODDITIES,
    "Answers that are too large": FLOODS,
}
