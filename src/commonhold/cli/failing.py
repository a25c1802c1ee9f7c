"""What ends a command without being its error: the machine's errors, signals, bugs. Each becomes a `HoldError`."""

import signal
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


def translated(op: str, error: BaseException) -> HoldError:
    """Return what to tell the user of anything that ended a command."""
    if isinstance(error, HoldError):
        return error
    if isinstance(error, KeyboardInterrupt):
        kind = _SIGNALS[error.args[0] if error.args else signal.SIGINT]
        return HoldError(op, kind, "", "interrupted; what was not acknowledged is not kept")
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


def release_signals() -> None:
    """From here on a signal ends the process at once: there is nothing left to tidy up."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)
