"""Check what Commonhold stands on here, and say what to do about what is wrong.

Checked are: the clock, which repository it is, modes and keys, who has it, disk and file system, the node and its
group, your agent, quota, the mount, the installed units, and blocks that are kept in more than one place. Of each grid
that you have joined: its files, the rules of dialling and their proxies, clocks, introducers, blessers, revocation
lists, your account, servers, blessings, quotas and leases; everybody is called, for some seconds, unless you are
anonymous. Nothing is changed. Exit code 1 if anything is FAIL.
"""

import argparse
import asyncio
import grp
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import commonhold
from commonhold.agent import health as users
from commonhold.blockstore import glance
from commonhold.cli.failing import translated
from commonhold.cli.opening import choose, listens, place_of_state, searched
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash
from commonhold.host import daemon, health, mounted, observing, units
from commonhold.host.health import Finding, Status
from commonhold.host.locked import LOCK, unlocked
from commonhold.host.repository import MOUNT_CONFIG, SYSTEM_CONFIG, Choice, is_repository
from commonhold.ipc.endpoint import owners
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.peer import groups_of

if TYPE_CHECKING:
    from commonhold.grids.looking import World

EXAMPLES = """examples:
  hold doctor
  hold doctor --json | grep -v '"OK"'"""

_SECONDS = 5.0  # for one check
_SOCKET_SECONDS = 3.0  # less, so that it is known what did not answer
_SAMPLE = 1000  # keys

Check = Callable[[], list[Finding]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `doctor`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Make every check, each for so long."""
    worst = 0
    for name, check in _checks(args):
        for one in _made(name, check):
            worst |= one.status is Status.FAIL
            row = {"check": one.check, "status": one.status.value, "said": one.said, "try": one.remedy}
            remedy = f"\n      try: {one.remedy}" if one.remedy else ""
            out.result(row, f"{one.status.value:<5} {one.check}: {one.said}{remedy}")
    return worst


def _made(name: str, check: Check) -> list[Finding]:
    """What a check finds; one that cannot be made says why."""
    try:
        return observing.within(_SECONDS, check)
    except Exception as error:  # noqa: BLE001  one check must not keep the others from being made
        told = translated(name, error)
        return [health.warn(name, f"could not be checked: {told}", told.hint)]


class _Chosen(NamedTuple):
    """The repository: whether there is a directory of that name, and one that is a repository."""

    choice: Choice
    directory: bool
    repository: bool


def _chosen(args: argparse.Namespace) -> _Chosen:
    choice = choose(args)
    return _Chosen(choice, choice.path.is_dir(), is_repository(choice.path))


def _checks(args: argparse.Namespace) -> Iterator[tuple[str, Check]]:
    """Every check by its name. What is about a repository, only where there is one."""
    try:
        chosen = observing.within(_SECONDS, partial(_chosen, args))
    except Exception as error:
        told = translated("find", error)
        if told.kind is Kind.USAGE:
            raise
        yield "clock", partial(_clock, None)
        yield "repository", lambda: [health.fail("repository", str(told), told.hint)]
    else:
        yield from _checks_of(chosen)
    yield "mount", _mount
    for config in (SYSTEM_CONFIG, MOUNT_CONFIG):
        yield "config", partial(_config, config)
    yield "units", _units


def _checks_of(chosen: _Chosen) -> Iterator[tuple[str, Check]]:
    choice, path = chosen.choice, chosen.choice.path
    called = _called(path)
    served = called.hello is not None
    yield "clock", partial(_clock, path)
    yield "repository", partial(_repository, chosen)
    yield "node", partial(_node, called, chosen.repository)
    yield "group", partial(_group, called)
    yield "keys", lambda: health.secrets(observing.secret_files(place_of_state(path)), os.geteuid())
    if chosen.directory:
        yield "modes", lambda: health.files(observing.own_files(path.resolve()))
        yield "disk", lambda: health.disk(observing.space(path), path)
        yield "file system", partial(_file_system, path)
    if chosen.repository:
        yield "lock", partial(_lock, path, served)
        yield "store", partial(_store, path)
    if served:
        yield "agent", partial(_agent, path)
        yield "quota", partial(_quota, called)
    yield "shared blocks", partial(_sharing, choice, called)
    yield "grids", partial(_grids, place_of_state(path))


# ── the machine ──


def _clock(path: Path | None) -> list[Finding]:
    built = os.stat(commonhold.__file__).st_mtime
    newest = observing.newest(path) if path else None
    return [health.clock(time.time(), built, newest, observing.clock_is_kept())]


def _repository(chosen: _Chosen) -> list[Finding]:
    path = chosen.choice.path
    exists = chosen.repository or listens(path) is not None
    if chosen.directory and not exists and not os.access(path, os.X_OK, effective_ids=True):
        return [health.closed(path)]
    owner = path.stat().st_uid if chosen.repository else None  # a node's is not opened by us
    return health.repository(chosen.choice, list(searched()), exists, owner, os.geteuid())


def _file_system(path: Path) -> list[Finding]:
    mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    return [health.file_system(observing.file_system_of(path.resolve(), mounts), path)]


def _lock(path: Path, served: bool) -> list[Finding]:
    with unlocked(path) as holder:
        return [health.lock(holder, path / LOCK, served)]


def _store(path: Path) -> list[Finding]:
    with unlocked(path) as holder:
        if holder is not None or not glance.indexed(path):
            return []
        return [users.store(*glance.state(path))]


def _mount() -> list[Finding]:
    found = [health.Shown(one, _unanswered(one.path)) for one in mounted.here()]
    return health.mount(found, units.enabled(*units.MOUNT), commonhold.__version__)


def _unanswered(path: Path) -> str | None:
    """Why nobody gets into a mount; None if it answers."""
    try:
        observing.within(_SOCKET_SECONDS, partial(os.stat, path))
    except OSError as error:
        return error.strerror or str(error)
    except HoldError as error:
        return error.why
    return None


def _config(path: Path) -> list[Finding]:
    return health.config(observing.entry(path))


def _units() -> list[Finding]:
    system = [units.drift(unit, units.SYSTEM_PATHS) for unit in units.NODE + units.TENDER + units.MOUNT + units.GRID]
    return health.units(system + [units.drift(unit, units.USER_PATHS) for unit in units.AGENT])


# ── the node ──


class _Called(NamedTuple):
    """What a node said of itself and of our account, or what became of the call. All None: there is no socket."""

    socket: Path | None = None
    hello: dict[str, Any] | None = None
    account: dict[str, Any] | None = None
    error: HoldError | None = None


def _called(path: Path) -> _Called:
    socket: Path | None = None
    try:
        socket = observing.within(_SECONDS, lambda: listens(path))
        return _Called() if socket is None else observing.within(_SECONDS, partial(_call, socket))
    except Exception as error:  # noqa: BLE001  that is a finding
        return _Called(socket or path, error=translated("call", error))


def _call(socket: Path) -> _Called:
    with _connected(socket) as store:
        hello, account = store.hello(), store.account()
    for said, names in ((hello, {"version", "group"}), (account, {"bytes", "quota"})):
        if not isinstance(said, dict) or not names <= said.keys():
            raise HoldError("call", Kind.FAILED, str(socket), "not what a node says")
    return _Called(socket, hello, account)


@contextmanager
def _connected(socket: Path) -> Iterator[NodeStore]:
    with closing(NodeStore(socket, owners(socket, os.geteuid()), _SOCKET_SECONDS)) as store:
        yield store


def _node(called: _Called, repository_here: bool) -> list[Finding]:
    answer = None
    if called.socket is not None:
        cause = called.error.__cause__ if called.error else None
        version = str(called.hello["version"]) if called.hello else None
        answer = users.Answer(called.socket, version, called.error, getattr(cause, "errno", None))
    return [users.node(answer, commonhold.__version__, repository_here)]


def _group(called: _Called) -> list[Finding]:
    """Of the group that the node says it admits; where it said nothing, of that which its socket is for."""
    if called.socket is None:
        return []
    group = _group_of(called.socket) if called.hello is None else called.hello["group"]
    if group is None:
        return []
    uid = os.geteuid()
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        gid = None
    process = frozenset([os.getegid(), *os.getgroups()])
    return users.membership(
        users.Membership(group, gid, _name_of(uid), frozenset(groups_of(uid)), process, called.hello is not None)
    )


def _group_of(socket: Path) -> str | None:
    """The group whose members alone may call a socket, if it is for one."""
    status = socket.stat()
    if status.st_mode & stat.S_IWOTH or not status.st_mode & stat.S_IWGRP:
        return None
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _agent(path: Path) -> list[Finding]:
    from commonhold.cli import reaching

    state = place_of_state(path)
    try:
        found = reaching.running(state)
    except HoldError as error:
        return [users.unanswering(error)]
    version = None
    if found is not None:
        version = found.hello.version
        found.close()
    return [users.agent(version, commonhold.__version__, daemon.last_words(state / reaching.LOG))]


def _quota(called: _Called) -> list[Finding]:
    account = called.account or {}
    return [users.quota(account["bytes"], account["quota"])]


# ── grids ──


def _grids(state: Path) -> list[Finding]:
    """Every grid that was joined, all at once; and what makes shares. Nothing where none was."""
    from commonhold.erasure import choosing
    from commonhold.erasure.portable import Portable
    from commonhold.grids import health as judging
    from commonhold.grids import places
    from commonhold.grids.looking import World

    world = World(os.geteuid(), int(time.time()))
    try:
        directories = places.joined(state, world.owner, Path)
    except HoldError as error:
        return [] if error.kind is Kind.NOT_FOUND else [health.fail("grids", str(error), error.hint)]

    async def together() -> list[list[Finding]]:
        return list(await asyncio.gather(*(_grid(directory, world) for directory in directories)))

    found = asyncio.run(together())
    computes = choosing.quickest()
    return [*(one for grid in found for one in grid), judging.code(computes.name, isinstance(computes, Portable))]


async def _grid(directory: Path, world: "World") -> list[Finding]:
    """One of them; where its files cannot be read, why."""
    from commonhold.grids import health as judging
    from commonhold.grids import observing as grids

    try:
        disk = await asyncio.to_thread(grids.on_disk, directory, world)
        return judging.judged(await grids.seen(disk, world))
    except Exception as error:  # noqa: BLE001  one grid must not keep the others from being looked at
        told = translated("look", error)
        return [health.fail(f"{directory.name}/files", str(told), told.hint)]


# ── blocks in more than one place ──


def _sharing(choice: Choice, called: _Called) -> list[Finding]:
    """Compare each two of the places that the caller could use. A node is asked only for what is the caller's."""
    first = choice.path.resolve()
    others = {one.path.resolve() for one in searched() if one.why_not is None} - {first}
    places = [_place(first, called), *(_place(path, _called(path)) for path in sorted(others))]
    to_see = [one for one in places if one.socket or (is_repository(one.path) and glance.indexed(one.path))]
    to_see.sort(key=lambda one: one.socket is not None)  # a store's first keys cost nothing, a node lists them all
    pairs = []
    for one, other in combinations(to_see, 2):
        keys = _first_keys(one)
        pairs.append(users.Shared(one.path, other.path, len(_present(other, keys)), len(keys)))
    return users.sharing(pairs)


class _Place(NamedTuple):
    """A repository, and the socket of its node, if one serves it."""

    path: Path
    socket: Path | None


def _place(path: Path, called: _Called) -> _Place:
    if called.error is not None and not is_repository(path):
        raise called.error
    return _Place(path, called.socket if called.error is None else None)


def _first_keys(place: _Place) -> list[Multihash]:
    if place.socket is None:
        with _unused(place.path):
            return glance.first_keys(place.path, _SAMPLE)
    with _connected(place.socket) as store:
        return list(islice(store.keys(), _SAMPLE))


def _present(place: _Place, keys: list[Multihash]) -> set[Multihash]:
    if place.socket is None:
        with _unused(place.path):
            return glance.present(place.path, keys)
    with _connected(place.socket) as store:
        return {key for key, size in zip(keys, store.sizes(keys), strict=True) if size is not None}


@contextmanager
def _unused(path: Path) -> Iterator[None]:
    with unlocked(path) as holder:
        if holder is not None:
            raise HoldError("look", Kind.BUSY, str(path), f"in use by {holder}", hint="hold doctor")
        yield
