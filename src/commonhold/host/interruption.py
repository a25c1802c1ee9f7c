"""Signals that wait: what must not be half done is not interrupted, and who waits for much waits for them, too."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let what Python does at a signal wait until the block is left. It interrupts the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before: dict[int, Callable[..., Any]] = {}
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for late in came:
            before[late](late, None)


@contextlib.contextmanager
def told(*numbers: signal.Signals) -> Iterator[int]:
    """A descriptor from which the numbers of these signals can be read once they have come; they do nothing else."""
    heard, say = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    before = signal.set_wakeup_fd(say, warn_on_full_buffer=False)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(say)
