"""Running plans: asks a fetcher for what a plan wants, until it is done. Pure; the fetcher is an argument."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from commonhold.api import Fetch, Plan, Stream, Want

T = TypeVar("T")


def run(plan: Plan[T], fetch: Fetch) -> T:
    """Return a plan's answer."""
    try:
        want = next(plan)
        while True:
            want = plan.send(list(fetch(want.cids)))
    except StopIteration as end:
        answer: T = end.value
        return answer


def items(stream: Stream[T], fetch: Fetch) -> Iterator[T]:
    """Yield a stream's items."""
    answer: Sequence[bytes] = ()
    started = False
    while True:
        try:
            step = stream.send(answer) if started else next(stream)
        except StopIteration:
            return
        started = True
        if isinstance(step, Want):
            answer = list(fetch(step.cids))
        else:
            answer = ()
            yield step
