"""Opening the repository a command works on: at its node if one serves it, else locked and opened here."""

import argparse
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.repository import (
    AGENT_SOCKET,
    NAME,
    Candidate,
    Choice,
    find,
    is_repository,
    node_socket,
    require,
    search,
)

if TYPE_CHECKING:
    from commonhold.calls import Agent, Files, Keyring
    from commonhold.ipc.nodeclient import NodeStore


def choose(args: argparse.Namespace) -> Choice:
    """Which repository this is about."""
    return find(args.repo, os.environ.get("HOLD_REPO"), _cwd(), _home(), os.geteuid())


def searched() -> Iterator[Candidate]:
    """What the search for a repository passes, where none is named."""
    return search(_cwd(), _home(), os.geteuid())


def _home() -> Path | None:
    home = os.environ.get("HOME")
    return Path(home) if home else None


def _cwd() -> Path | None:
    """The working directory, unless it was deleted, or is closed to us: another's, whose `sudo -u` started us."""
    try:
        found = Path.cwd()
        found.stat()
    except (FileNotFoundError, PermissionError):
        return None
    return found


@contextmanager
def agent(args: argparse.Namespace, out: Output, before: Callable[[Path], None] | None = None) -> Iterator["Agent"]:
    """The caller's agent for the chosen repository, for as long as the block runs.

    Where a node serves it, a daemon of the caller's own, started if need be; else an agent in this process, which has
    the repository locked. `before` is done under the lock, before it opens.
    """
    choice = choose(args)
    for path, why in choice.passed_over:
        out.remark(f"note: passed over {path}: {why}")
    node = _node(choice.path)
    if node is None:
        from commonhold.cli.embedded import locked

        with locked(choice.path, _told(args.argv), out, before) as embedded:
            yield embedded
        return
    if before is not None:
        raise HoldError("open", Kind.BUSY, str(choice.path), "a node has it", hint="hold down")
    with _at(choice.path, node, out) as served:
        yield served


def _told(words: list[str]) -> str:
    """A command's words as others may be told them: whoever reads a capability or a link has it."""
    from commonhold.formats.link import is_secret

    return " ".join(f"{word[:10]}…" if is_secret(word) else word for word in words)


@contextmanager
def keys(args: argparse.Namespace, out: Output) -> Iterator["Keyring"]:
    """The keys of whoever calls. Needs no lock."""
    path = choose(args).path
    node = _node(path)
    if node is not None:
        with _at(path, node, out) as served:
            yield served.keys
        return
    from commonhold.agent.keyring import LocalKeyring
    from commonhold.agent.keystore import Keystore

    require(path)
    yield LocalKeyring(Keystore(state_of(path), os.geteuid()))


def hashing(args: argparse.Namespace) -> "Files":
    """What adds without storing: no repository is needed."""
    from commonhold.agent.files import LocalFiles

    try:
        path = choose(args).path
        return LocalFiles(None, state_of(path) if is_repository(path) or listens(path) else None)
    except HoldError as error:
        if error.kind is not Kind.NO_REPOSITORY:
            raise
        return LocalFiles(None, None)


@contextmanager
def _at(path: Path, node: Path, out: Output) -> Iterator["Agent"]:
    """The agent for a node: the caller's daemon, or if that is not to be had, one in this process."""
    from commonhold.cli.reaching import reach

    state = state_of(path)
    agent = reach(state, node, out)
    if agent is not None:
        with closing(agent):
            yield agent
        return
    from commonhold.agent.local import LocalAgent
    from commonhold.agent.opened import Served

    store = _called(node)
    with closing(store):
        yield LocalAgent(Served(state, store, os.geteuid()))


def _node(path: Path) -> Path | None:
    """The socket of the node that serves a repository; None where there is none, or only what a killed one left."""
    socket = listens(path)
    if socket is None:
        return None
    from commonhold.ipc.endpoint import answers

    return None if is_repository(path) and not answers(socket) else socket


def _called(socket: Path) -> "NodeStore":
    """A node that has answered."""
    from commonhold.ipc.endpoint import owners
    from commonhold.ipc.nodeclient import NodeStore

    node = NodeStore(socket, owners(socket, os.geteuid()))
    try:
        node.hello()
    except BaseException:
        node.close()
        raise
    return node


def serving(path: Path) -> "NodeStore | None":
    """The node that serves a repository, or that is behind a socket given in its place; None if there is none."""
    socket = _node(path)
    return None if socket is None else _called(socket)


def listens(path: Path) -> Path | None:
    """The socket where the node of a repository should listen, or that was given in its place; None without one."""
    socket = path if path.is_socket() else node_socket(path)
    try:
        return socket if stat.S_ISSOCK(socket.stat().st_mode) else None
    except OSError:
        return None


def state_of(path: Path) -> Path:
    """Where the caller's own things are, keys above all; made if it is not there yet."""
    place = place_of_state(path)
    with os_errors("make", str(place)):
        place.mkdir(mode=0o700, exist_ok=True)
    return place


def chosen_state(args: argparse.Namespace) -> Path:
    """The directory of the caller's own things, where no repository is opened. NO_REPOSITORY where none is chosen."""
    path = choose(args).path.absolute()
    if listens(path) is None:
        require(path)
    return place_of_state(path)


def place_of_state(path: Path) -> Path:
    """The directory of the caller's own things: their repository, or ~/.hold if it is another's."""
    if is_repository(path) and path.stat().st_uid == os.geteuid():
        return path
    home = _home()
    if home is None:
        raise HoldError("find", Kind.USAGE, "$HOME", "not set, and keys would be kept there", hint="set HOME")
    return home / NAME


def agent_socket(state: Path) -> Path:
    """Where the agent of somebody's own things listens."""
    return state / AGENT_SOCKET
