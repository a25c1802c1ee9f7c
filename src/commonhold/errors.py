"""One error for the whole system: operation, kind, subject. One table maps a kind to every outside world.

Source: DESIGN §4 (errors), STYLE (form of an error message).
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple


class Outcome(NamedTuple):
    """What one kind of error is called outside: by the shell, by HTTP and by the kernel; and what mostly helps."""

    code: str
    exit: int
    http: int
    errno: int
    hint: str


class Kind(Enum):
    """Why an operation failed. The value is the row of the table."""

    FAILED = Outcome("E-FAILED", 1, 500, errno.EIO, "HOLD_DEBUG=1 shows where it failed")
    USAGE = Outcome("E-USAGE", 2, 400, errno.EINVAL, "hold --help")
    INVALID = Outcome(
        "E-INVALID", 1, 400, errno.EINVAL, "get it again from where it came: it is not what it claims to be"
    )
    UNSUPPORTED = Outcome(
        "E-UNSUPPORTED", 1, 415, errno.EOPNOTSUPP, "hold cid codecs and hold cid hashes list what is known"
    )
    TOO_LARGE = Outcome("E-TOO-LARGE", 1, 413, errno.EFBIG, "make it smaller")
    NOT_FOUND = Outcome(
        "E-NOT-FOUND", 1, 404, errno.ENOENT, "hold add or hold import brings it in: nothing is fetched from elsewhere"
    )
    EXISTS = Outcome("E-EXISTS", 1, 409, errno.EEXIST, "choose another name")
    NOT_A_DIRECTORY = Outcome("E-NOT-A-DIRECTORY", 1, 409, errno.ENOTDIR, "hold stat says what it is")
    IS_A_DIRECTORY = Outcome("E-IS-A-DIRECTORY", 1, 409, errno.EISDIR, "hold ls lists it, hold get writes it out")
    CHANGED = Outcome("E-CHANGED", 1, 409, errno.EBUSY, "run it again when nothing writes there")
    BUSY = Outcome("E-BUSY", 1, 423, errno.EBUSY, "try again when it has ended")
    DISK_FULL = Outcome("E-DISK-FULL", 1, 507, errno.ENOSPC, "free some disk space; hold gc deletes what no pin keeps")
    VERSION = Outcome("E-VERSION", 1, 501, errno.EPROTONOSUPPORT, "use a newer hold")
    NO_MEMORY = Outcome(
        "E-NO-MEMORY", 1, 507, errno.ENOMEM, "end other programs, or raise the limit that ulimit -v shows"
    )
    BUG = Outcome("E-BUG", 1, 500, errno.EIO, "report it, with what HOLD_DEBUG=1 shows")
    NO_REPOSITORY = Outcome("E-NO-REPOSITORY", 10, 404, errno.ENOENT, "hold init")
    UNREACHABLE = Outcome("E-UNREACHABLE", 11, 503, errno.ECONNREFUSED, "hold status")
    DENIED = Outcome("E-DENIED", 12, 403, errno.EACCES, "ask its owner, or change who may use it")
    QUOTA = Outcome("E-QUOTA-FULL", 13, 507, errno.EDQUOT, "hold pin rm what is not needed, then hold gc")
    BLESSING = Outcome("E-BLESSING", 14, 403, errno.EKEYREJECTED, "ask whoever blesses for this grid")
    ANONYMITY = Outcome("E-ANONYMITY", 15, 403, errno.EPERM, "change the rule that forbids it, or do without")
    CORRUPT = Outcome("E-CORRUPT", 16, 500, errno.EBADMSG, "hold verify")
    # 128 and the number of the signal, as shells have it
    HUNG_UP = Outcome("E-HUNG-UP", 129, 499, errno.EINTR, "run it again")
    INTERRUPTED = Outcome("E-INTERRUPTED", 130, 499, errno.EINTR, "run it again")
    TERMINATED = Outcome("E-TERMINATED", 143, 499, errno.EINTR, "run it again")


class HoldError(Exception):
    """An operation that did not happen: what was tried, on what, why, and what to do about it."""

    def __init__(self, op: str, kind: Kind, subject: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(op, kind, subject, why)
        self.op = op
        self.kind = kind
        self.subject = subject
        self.why = why
        self.hint = hint or kind.value.hint

    def described(self) -> dict[str, object]:
        """What programs are told, on a wire or in JSON."""
        outcome = self.kind.value
        return {
            "error": str(self), "op": self.op, "subject": self.subject, "why": self.why, "hint": self.hint,
            "code": outcome.code, "exit": outcome.exit,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.op} {self.subject}: {self.why}" if self.subject else f"{self.op}: {self.why}"


_FROM_ERRNO = {
    errno.ENOENT: Kind.NOT_FOUND,
    errno.EEXIST: Kind.EXISTS,
    errno.EACCES: Kind.DENIED,
    errno.EPERM: Kind.DENIED,
    errno.ENOTDIR: Kind.NOT_A_DIRECTORY,
    errno.EISDIR: Kind.IS_A_DIRECTORY,
    errno.ENOSPC: Kind.DISK_FULL,
    errno.EDQUOT: Kind.QUOTA,
    errno.EROFS: Kind.DENIED,
    errno.ENOMEM: Kind.NO_MEMORY,
}


_BY_CODE = {kind.value.code: kind for kind in Kind}


def from_description(said: object) -> HoldError:
    """Return the error that another process described; what it said is cut to a bearable length."""
    fields = said if isinstance(said, dict) else {}
    kind = _BY_CODE.get(str(fields.get("code")), Kind.FAILED)
    op, subject, why = (str(fields.get(name) or "")[:500] for name in ("op", "subject", "why"))
    hint = fields.get("hint")
    return HoldError(op or "call", kind, subject, why or "no reason was given", hint=str(hint)[:500] if hint else None)


def from_os(op: str, subject: str, error: OSError) -> HoldError:
    """Translate what the kernel said. The subject is the path or thing the operation was about."""
    kind = _FROM_ERRNO.get(error.errno or 0, Kind.FAILED)
    hint = (
        "check the path: what is above it has to be there"
        if kind in (Kind.NOT_FOUND, Kind.NOT_A_DIRECTORY, Kind.IS_A_DIRECTORY)
        else None
    )
    return HoldError(op, kind, subject, error.strerror or str(error), hint=hint)


def from_any(op: str, error: BaseException) -> HoldError:
    """Return what to say of whatever ended an operation: its own error, the machine's, or a bug."""
    if isinstance(error, HoldError):
        return error
    if isinstance(error, OSError):
        return from_os(op, str(error.filename or ""), error)
    if isinstance(error, MemoryError):
        return HoldError(op, Kind.NO_MEMORY, "", "memory is used up")
    return HoldError(op, Kind.BUG, "", f"a bug in hold: {_described(error)}")


def _described(error: BaseException) -> str:
    """An exception's type, its place in this program and the first of what it says, in one line."""
    import traceback  # most programs never meet a bug

    package = __file__.rpartition("/")[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(package)] or frames
    place = f"{ours[-1].filename.removeprefix(package).lstrip('/')}:{ours[-1].lineno}" if ours else "an unknown place"
    said = str(error).partition("\n")[0][:200]
    return f"{type(error).__name__} at {place}" + (f": {said}" if said else "")


@contextmanager
def os_errors(op: str, subject: str) -> Iterator[None]:
    """Run a block whose OSErrors are about one subject."""
    try:
        yield
    except OSError as error:
        raise from_os(op, subject, error) from error
