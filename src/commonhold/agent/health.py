"""Whether a user gets on with a node, and what is kept in more than one place: facts in, findings out. Pure."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from commonhold.errors import HoldError, Kind
from commonhold.host.health import Finding, fail, ok, warn
from commonhold.host.names import shown
from commonhold.host.repository import SYSTEM_SOCKET

_QUOTA_PART = 0.9


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of calling a node: its version, or why there is none (`error`), and the kernel's part in that."""

    socket: Path
    version: str | None = None
    error: HoldError | None = None
    code: int | None = None  # errno


def node(answer: Answer | None, version: str, repository_here: bool) -> Finding:
    """The node of a repository. `repository_here`: commands can open the repository themselves."""
    if answer is None:
        return ok("node", "none serves this repository; commands open it themselves")
    where, error = shown(str(answer.socket)), answer.error
    is_system = answer.socket == SYSTEM_SOCKET
    if error is None and answer.version == version:
        return ok("node", f"answers at {where}, version {version}")
    if error is None:
        restart = "sudo systemctl restart commonhold-node" if is_system else "hold down; hold up"
        return warn("node", f"is of version {answer.version}, this command of {version}", restart)
    if error.kind is Kind.DENIED and error.hint != Kind.DENIED.value.hint:
        return fail("node", str(error), error.hint)
    if error.kind is Kind.DENIED or answer.code in (errno.EACCES, errno.EPERM):
        return fail("node", str(error), f"ls -l {quote(where)}")
    if repository_here and answer.code == errno.ECONNREFUSED:
        return warn("node", f"nobody listens at {where}: what a killed node left", f"rm {quote(where)}")
    remedy = "systemctl status commonhold-node.socket" if is_system else f"fuser -v {quote(where)}"
    return fail("node", f"{where} does not answer: {error.why}", remedy)


def agent(found: str | None, version: str, said: str) -> Finding:
    """The caller's agent where a node serves. `found`: the version of one that is there; `said`: its last error."""
    if found is not None and found != version:
        return warn("agent", f"is of version {found}, this command of {version}", "hold down")
    if found is not None:
        return ok("agent", f"answers you, and nobody else, version {found}")
    if said:
        return warn("agent", f"none is there; the last one said: {said}", "hold up")
    return ok("agent", "none is there; the next command that needs one starts it")


def unanswering(error: HoldError) -> Finding:
    """An agent that is there and says nothing, as one that was stopped, or has too many callers."""
    return fail("agent", f"{error.subject}: {error.why}", error.hint)


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that a node admits, and the groups of a user: as the user database has them, and of this process.

    `gid` is None where there is no such group. `admitted`: the node has answered.
    """

    group: str
    gid: int | None
    user: str
    database: frozenset[int]
    process: frozenset[int]
    admitted: bool


def membership(one: Membership | None) -> list[Finding]:
    """Whether the user is in the group that may use the node, and this session knows it."""
    if one is None:
        return []
    if one.gid is None:
        return [
            fail("group", f"there is no group {one.group!r}, whose members may use the node", "sudo systemd-sysusers")
        ]
    if one.gid not in one.database | one.process:
        if one.admitted:
            return [ok("group", f"{one.user} is the node's own user; others have to be in {one.group}")]
        adduser = f"sudo adduser {quote(one.user)} {quote(one.group)}"
        return [fail("group", f"{one.user} is not in {one.group}, whose members may use the node", adduser)]
    if one.gid not in one.process:
        since = f"{one.user} is in {one.group}, but this login began before that: log out and in again"
        return [warn("group", since, f"newgrp {quote(one.group)}")]
    if one.gid not in one.database:
        gone = f"{one.user} is no longer in {one.group}; this login began before that"
        return [warn("group", gone, f"sudo adduser {quote(one.user)} {quote(one.group)}")]
    return [ok("group", f"{one.user} is in {one.group}")]


def quota(charged: int, limit: int | None) -> Finding:
    """What the user is charged for, of what they may be: bytes."""
    if limit is None:
        return ok("quota", f"{charged >> 20} MiB charged, no limit")
    said = f"{charged >> 20} of {limit >> 20} MiB charged"
    if charged >= limit:
        return fail("quota", said, "hold gc")
    if charged >= limit * _QUOTA_PART:
        return warn("quota", said, "hold gc")
    return ok("quota", said)


def store(damaged: int, doubt: str) -> Finding:
    """What the store knows to be wrong with itself; `hold verify` finds more."""
    if damaged:
        return fail("store", f"{damaged} blocks are known to be damaged", "hold verify")
    if doubt:
        return warn("store", f"pins may be missing: {doubt}", "hold verify")
    return ok("store", "no damage is known; hold verify reads everything")


@dataclass(frozen=True, slots=True)
class Shared:
    """How many of `looked` blocks of one place another one has, too."""

    one: Path
    other: Path
    common: int
    looked: int


def sharing(pairs: Sequence[Shared]) -> list[Finding]:
    """Blocks that more than one place of this host keeps (A34)."""
    if not pairs:
        return [ok("shared blocks", "there is no other repository to compare with")]
    found = [
        warn(
            "shared blocks",
            f"{pair.common} of {pair.looked} blocks looked at are both in {shown(str(pair.one))} and in "
            f"{shown(str(pair.other))}; only within one node a block is on disk once. Who shares a node "
            "can tell from the disk space that an add takes whether somebody has the same, unless it was sealed",
            f"hold --repo {quote(shown(str(pair.other)))} pin ls",
        )
        for pair in pairs
        if pair.common
    ]
    places = dict.fromkeys(shown(str(path)) for pair in pairs for path in (pair.one, pair.other))
    return found or [ok("shared blocks", f"none found among those that you can see in {', '.join(places)}")]
