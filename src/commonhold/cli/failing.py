"""What ends a command without being its error: the machine's errors, signals, bugs. Each becomes a `HoldError`."""

import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import commonhold
from commonhold.errors import HoldError, Kind, from_os

_PACKAGE = str(Path(commonhold.__file__).parent)
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
    if isinstance(error, OSError):
        return from_os(op, str(error.filename or ""), error)
    if isinstance(error, MemoryError):
        return HoldError(op, Kind.NO_MEMORY, "", "memory is used up")
    return HoldError(op, Kind.BUG, "", f"a bug in hold: {_described(error)}")


def _described(error: BaseException) -> str:
    """An exception's type, its place in this program and the first of what it says, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_PACKAGE)] or frames
    place = f"{ours[-1].filename.removeprefix(_PACKAGE).lstrip('/')}:{ours[-1].lineno}" if ours else "an unknown place"
    said = str(error).partition("\n")[0][:200]
    return f"{type(error).__name__} at {place}" + (f": {said}" if said else "")


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
