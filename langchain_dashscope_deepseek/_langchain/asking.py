"""Sends a request until there is an answer, logs the call, and yields the parts of the answer.

A failed attempt is repeated from its beginning, as long as no part of its answer was yielded. The
two functions differ only in the awaiting.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from typing import TypeVar

from langchain_dashscope_deepseek._dashscope.protocol.refusals import Negotiation
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import CallLog
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts
from langchain_dashscope_deepseek._dashscope.transport.sending import (
    Acquire,
    AsyncAcquire,
    areplies,
    replies,
)
from langchain_dashscope_deepseek._langchain.emitters import Emitter
from langchain_dashscope_deepseek._langchain.stream import AnswerAccumulator

T = TypeVar("T")
EmitterOf = Callable[[AnswerAccumulator], Emitter[T]]


def ask(acquire: Acquire, request: PreparedRequest, emitter_of: EmitterOf[T]) -> Generator[T]:
    """Yield the parts that an emitter makes of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        for attempt in Attempts(request.policy, negotiation.settle):
            request = negotiation.request
            answer = AnswerAccumulator(request)
            with attempt, emitter_of(answer) as emitter:
                log.begin(attempt, request.route, answer.facts)
                with closing(replies(acquire, request, attempt)) as coming:
                    for reply in coming:
                        log.first_came()
                        for part in emitter.add(reply):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    yield from ending  # after the log, which then needs no caller that asks for more


async def aask(
    acquire: AsyncAcquire, request: PreparedRequest, emitter_of: EmitterOf[T]
) -> AsyncGenerator[T]:
    """Yield the parts that an emitter makes of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        async for attempt in Attempts(request.policy, negotiation.settle):
            request = negotiation.request
            answer = AnswerAccumulator(request)
            with attempt, emitter_of(answer) as emitter:
                log.begin(attempt, request.route, answer.facts)
                async with aclosing(areplies(acquire, request, attempt)) as coming:
                    async for reply in coming:
                        log.first_came()
                        for part in emitter.add(reply):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    for part in ending:
        yield part
