"""Sends a request for each check, and turns each answer into a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_dashscope_deepseek._dashscope.protocol.redaction import REDACTED
from langchain_dashscope_deepseek._dashscope.protocol.request import prepare
from langchain_dashscope_deepseek._dashscope.regions import WORKSPACE_HOSTS, host_of, region_of
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.transport.pool import process_pool
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts, RetryPolicy
from langchain_dashscope_deepseek._dashscope.transport.sending import send
from langchain_dashscope_deepseek.capabilities import UNKNOWN_MODEL, ModelCapabilities, Route
from langchain_dashscope_deepseek.chat_models import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.doctor._checks import (
    Answer,
    Check,
    Reading,
    checks_of,
    read_thinking,
)
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeConnectionError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRouteError,
)


@dataclass(frozen=True)
class Finding:
    """A line of the report: the service's behaviour beside the table's entry."""

    model: str
    check: str
    service: str
    table: str
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether service and table are both known and disagree."""
        is_open = {self.service, self.table} & {"unclear", "failed", "not known", ""}
        return not is_open and self.service != self.table

    @property
    def is_failure(self) -> bool:
        """Whether the check failed, or does not work although the table says that it does."""
        return self.service == "failed" or (self.service == "no" and self.table == "yes")


class Doctor:
    """Sends checks to the service that a chat model's settings configure.

    Attributes:
        region: The region; `None` for other hosts than the service's.
        requests: How many requests were sent.
        tokens: How many tokens they used.
    """

    def __init__(self, model: ChatDashScopeDeepSeek) -> None:
        """Read the model's settings."""
        self._settings: dict[str, Any] = {
            name: getattr(model, name) for name in type(model).model_fields
        }
        self.region = region_of(self._settings["base_url"])
        self.requests = self.tokens = 0

    def close(self) -> None:
        """Close the connections."""
        process_pool().close(self)

    def plan(self, row: ModelCapabilities) -> list[Check]:
        """List a model's checks with their token limits; the first one finds the route."""
        # If max_tokens does not include the reasoning, the other limit is needed.
        limit = "max_completion_tokens" if row.max_reasoning_tokens else "max_tokens"
        checks = [Check("answers", {}, True), *checks_of(row, self.region)]
        return [replace(c, parameters={**c.parameters, limit: c.limit}) for c in checks]

    def findings(
        self, rows: Mapping[str, ModelCapabilities], *, must_answer: bool
    ) -> Iterator[Finding]:
        """Check each model, and yield the lines of the report.

        `must_answer` says that the account has to have each of the models. A refused key is
        raised, and a connection error in the first check of a model; other errors are findings.
        """
        is_accepted = False
        for model, row in rows.items():
            for finding in self._examine(model, row, must_answer=must_answer):
                if finding.service == "yes" and not is_accepted:
                    is_accepted = True
                    yield Finding("", "key and region", "yes", "", self.region or "")
                yield finding
        if not is_accepted:
            yield Finding("", "key and region", "failed", "", "no model answered")

    def _examine(
        self, model: str, row: ModelCapabilities, *, must_answer: bool
    ) -> Iterator[Finding]:
        first, *checks = self.plan(row)
        try:
            route, answer = self._find_route(model, row, first)
        except (DashScopeAuthenticationError, DashScopeConnectionError):
            raise
        except DashScopeError as error:
            says = "yes" if must_answer else "not known"
            yield Finding(model, first.name, _kind_of(error), says, self._text_of(error))
            return
        default = None if row.thinking == "unknown" else row.thinks(None)
        yield Finding(model, first.name, "yes", "yes")
        yield Finding(model, "route", route, row.routes[0])
        yield Finding(model, "thinks by default", read_thinking(answer)[0], _word(default))
        for check in checks:
            found, note = self._check(model, check, check.route or route)
            yield Finding(model, check.name, found, _word(check.table), note)

    def _find_route(self, model: str, row: ModelCapabilities, check: Check) -> tuple[Route, Answer]:
        *likelier, last = row.routes
        for route in likelier:
            with suppress(DashScopeRouteError):
                return route, self._ask(model, check, route)
        return last, self._ask(model, check, last)

    def _check(self, model: str, check: Check, route: Route) -> Reading:
        try:
            answers = [self._ask(model, check, route) for _ in range(check.times)]
        except DashScopeAuthenticationError:
            raise
        except DashScopeError as error:
            return _kind_of(error), self._text_of(error)
        return check.read(answers[-1])

    def _ask(self, model: str, check: Check, route: Route) -> Answer:
        settings = {**self._settings, "model": model}
        # For `UNKNOWN_MODEL`, `prepare` changes nothing, and refuses JSON mode only if no message
        # says "json"; `send` sends once.
        request = prepare(
            settings,
            UNKNOWN_MODEL,
            check.parameters,
            check.messages,
            stream=check.streamed,
            endpoint=Endpoint(settings),
            policy=RetryPolicy(settings["max_retries"], max_seconds=settings["max_seconds"]),
        )
        request = replace(request, routes=(route,))
        self.requests += 1
        acquire = partial(process_pool().acquire, sender=self)
        attempt = next(Attempts(request.policy))
        answer = Answer.of(list(send(acquire, request, attempt)))
        self.tokens += answer.usage["total_tokens"] if answer.usage else 0
        return answer

    def _text_of(self, error: DashScopeError) -> str:
        """Return the service's error text and code, with workspace and host redacted."""
        text = str(error).partition(error.hint)[0] if error.hint else str(error)
        text = text.removeprefix("DashScope: ").strip()
        host, workspace = host_of(self._settings["base_url"]), self._settings["workspace_id"]
        label = host.partition(".")[0] if host.endswith(WORKSPACE_HOSTS) else None
        for private in filter(None, (host, label, workspace)):
            text = text.replace(private, REDACTED)
        return text


_MEANS_NO = (
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
)


def _kind_of(error: DashScopeError) -> str:
    """Tell a refusal ("no") from any other error, such as an exhausted quota ("failed")."""
    is_quota = isinstance(error, DashScopeQuotaExceededError)
    return "no" if isinstance(error, _MEANS_NO) and not is_quota else "failed"


def _word(says: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[says]
