"""Running plans: asks a fetcher for what a plan wants, until it is done. Pure; the fetcher is an argument."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from commonhold.api import Fetch, Plan, Stream, Want

T = TypeVar("T")


def run(plan: Plan[T], fetch: Fetch) -> T:
    """Return a plan's answer. What the fetcher raises ends the plan."""
    try:
        want = next(plan)
        while True:
            want = plan.send(list(fetch(want.cids)))
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        plan.close()


def items(stream: Stream[T], fetch: Fetch) -> Iterator[T]:
    """Yield a stream's items, each as soon as it is known. What the fetcher raises ends the stream."""
    try:
        step = next(stream)
        while True:
            answer: Sequence[bytes] = ()
            if isinstance(step, Want):
                answer = list(fetch(step.cids))
            else:
                yield step
            step = stream.send(answer)
    except StopIteration:
        return
    finally:
        stream.close()
