"""What is sent otherwise than it stands in the messages, and how that is said.

Pure but for the warning and the log line. A thread that cannot go on is dead until somebody edits
it, so what can be mended without guessing is mended; who turns warnings into errors is refused.
"""

from __future__ import annotations

import logging

from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.errors import DashScopeError, DashScopeWarning

logger = logging.getLogger(__name__)


class Changes:
    """The changes of one request.

    Attributes:
        made: What was changed, for `response_metadata["request_changes"]["messages"]`.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.made: list[str] = []
        self._said: dict[str, DashScopeError] = {}

    def add(self, what: str, warning: str, refusal: DashScopeError) -> None:
        """Note a change.

        Args:
            what: What was changed, without anything of the prompt.
            warning: What is said of all changes of the kind.
            refusal: The error for who wants no such change.
        """
        self.made.append(what)
        self._said.setdefault(warning, refusal)

    def say(self) -> None:
        """Log each change, and warn once of each kind.

        Raises:
            DashScopeError: The first refusal, where warnings are errors.
        """
        for what in self.made:
            logger.info("Changed in the request: %s", what)
        for warning, refusal in self._said.items():
            _warn_or_refuse(warning, refusal)


def _warn_or_refuse(warning: str, refusal: DashScopeError) -> None:
    try:
        warn(warning)
    except DashScopeWarning:
        raise refusal from None
