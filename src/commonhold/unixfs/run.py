"""Running plans: asks a fetcher for what a plan wants, until it is done. Pure; the fetcher is an argument."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from commonhold.api import Fetch, Plan, Stream, Want

T = TypeVar("T")


def run(plan: Plan[T], fetch: Fetch) -> T:
    """Return a plan's answer. What the fetcher raises ends the plan."""
    blocks: Sequence[bytes] | None = None
    try:
        while True:
            try:
                want = next(plan) if blocks is None else plan.send(blocks)
            except StopIteration as end:
                answer: T = end.value
                return answer
            blocks = list(fetch(want.cids))
    finally:
        plan.close()


def items(stream: Stream[T], fetch: Fetch) -> Iterator[T]:
    """Yield a stream's items, each as soon as it is known. What the fetcher raises ends the stream."""
    answer: Sequence[bytes] | None = None
    try:
        while True:
            try:
                step = next(stream) if answer is None else stream.send(answer)
            except StopIteration:
                return
            answer = ()
            if isinstance(step, Want):
                answer = list(fetch(step.cids))
            else:
                yield step
    finally:
        stream.close()
