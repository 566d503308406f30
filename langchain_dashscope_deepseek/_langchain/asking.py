"""Asks until there is an answer, and yields what shows of it: attempts, replies, and the log.

What is sent and read is `replies`'; here a failed attempt starts anew, with nothing of its answer
left, as long as nothing of it was shown. The two functions are the same but for the awaiting.
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
from langchain_dashscope_deepseek._langchain.stream import AnswerAccumulator, Emitter

T = TypeVar("T")


def ask(
    acquire: Acquire,
    request: PreparedRequest,
    emitter_of: Callable[[AnswerAccumulator], Emitter[T]],
) -> Generator[T]:
    """Yield what an emitter shows of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        for attempt in Attempts(request.policy, negotiation.settle):
            request = negotiation.request
            answer = AnswerAccumulator(request)
            with attempt, emitter_of(answer) as emitter:
                log.begin(attempt, request.route, answer.facts)
                with closing(replies(acquire, request, attempt)) as coming:
                    for reply in coming:
                        if log.first is None:
                            log.first_came()
                        for part in emitter.add(reply):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    yield from ending  # the call is over: who takes the last part need not come back for more


async def aask(
    acquire: AsyncAcquire,
    request: PreparedRequest,
    emitter_of: Callable[[AnswerAccumulator], Emitter[T]],
) -> AsyncGenerator[T]:
    """Yield what an emitter shows of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        async for attempt in Attempts(request.policy, negotiation.settle):
            request = negotiation.request
            answer = AnswerAccumulator(request)
            with attempt, emitter_of(answer) as emitter:
                log.begin(attempt, request.route, answer.facts)
                async with aclosing(areplies(acquire, request, attempt)) as coming:
                    async for reply in coming:
                        if log.first is None:
                            log.first_came()
                        for part in emitter.add(reply):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    for part in ending:
        yield part
