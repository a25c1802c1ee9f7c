"""Run `hold` as another user: `python -m tests.system.as_user USER WORDS…`, as root.

What the command needs is loaded first, so that the user needs no way to the interpreter's own files.
"""

import ctypes
import grp  # noqa: F401 asked for when somebody calls
import os
import pwd
import sys

import commonhold.cli.node
import commonhold.node.config
import commonhold.node.main  # noqa: F401
from commonhold.cli.main import main

_PR_SET_DUMPABLE = 4


def become(name: str) -> None:
    """Be a user and of their groups, and nothing else any more."""
    user = pwd.getpwnam(name)
    os.setgroups(os.getgrouplist(name, user.pw_gid))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.chdir("/")


if __name__ == "__main__":
    become(sys.argv[1])
    sys.argv[1:] = sys.argv[2:]
    sys.exit(main())
