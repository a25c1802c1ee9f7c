"""What ends a command without being its error: the machine's errors, signals, bugs. Each becomes a `HoldError`."""

import signal
import sys
from typing import NoReturn

from commonhold.errors import HoldError, Kind, from_any

_SIGNALS = {
    signal.SIGINT: Kind.INTERRUPTED,
    signal.SIGTERM: Kind.TERMINATED,
    signal.SIGHUP: Kind.HUNG_UP,
}
_SOON = 0.01  # seconds


class Interrupted(BaseException):
    """A signal asks us to end.

    Not a KeyboardInterrupt: once that has passed an `exec`, Python ends itself by SIGINT, whoever catches it.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted")
        self.number = number


def translated(op: str, error: BaseException) -> HoldError:
    """Return what to tell the user of anything that ended a command."""
    if isinstance(error, HoldError):
        return error
    if isinstance(error, Interrupted):
        why = "; ".join(["interrupted", *getattr(error, "__notes__", []), "what was not acknowledged is not kept"])
        return HoldError(op, _SIGNALS[signal.Signals(error.number)], "", why)
    return from_any(op, error)


def catch_signals() -> None:
    """Have the signals that ask a program to end raise an exception, so that it tidies up. Who ignores one, goes on."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _again


def _again(lost: "sys.UnraisableHookArgs") -> None:
    """Have an interruption come again that came where nothing can be raised, as while an object is taken away."""
    error = lost.exc_value
    if isinstance(error, Interrupted):
        signal.signal(signal.SIGALRM, lambda _, frame: _interrupt(error.number, frame))
        signal.setitimer(signal.ITIMER_REAL, _SOON)
    else:
        sys.__unraisablehook__(lost)


def release_signals(to: signal.Handlers) -> None:
    """Nothing is left to tidy up: a signal ends the process at once now (SIG_DFL), or comes too late (SIG_IGN)."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, to)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise Interrupted(number)
