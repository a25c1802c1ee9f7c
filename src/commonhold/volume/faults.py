"""What a program is told that asked for what cannot be: OSError with an errno, as `trees.Tree` has it."""

import errno
import os

from commonhold.errors import HoldError
from commonhold.trees import MAX_NAME

MAX_PRINCIPAL = 255


def fault(code: int) -> OSError:
    """The error of an errno."""
    return OSError(code, os.strerror(code))


def from_hold(error: HoldError) -> OSError:
    """What a mount says of an error of ours: a full disk and a full quota are told, all else is EIO."""
    told = error.kind.value.errno
    return OSError(told if told in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM) else errno.EIO, str(error))


def check_name(name: bytes) -> None:
    """Refuse what cannot name an entry."""
    if len(name) > MAX_NAME:
        raise fault(errno.ENAMETOOLONG)
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise fault(errno.EINVAL)


def check_principal(principal: str) -> None:
    """Refuse what cannot be whose something is."""
    if not principal or not principal.isprintable() or len(principal.encode()) > MAX_PRINCIPAL:
        raise fault(errno.EINVAL)
