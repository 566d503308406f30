"""The fault table: what a client can meet, how to provoke it, and the one right outcome.

Data, for `test_faults.py`, which meets every fault in every call style, and for
`docs/test-evidence.md`, which prints it. What is provoked comes over sockets, see `stage.py`.
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
    "The service refuses": REFUSALS,
    "There is no connection": CONNECTIONS,
    "The answer breaks off or stalls": CUTS,
    "More comes behind the answer": BEHIND,
    "The answer is odd": ODDITIES,
    "The answer is too large": FLOODS,
}
