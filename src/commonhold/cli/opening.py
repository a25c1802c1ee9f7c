"""Opening the repository a command works on: at its node if one serves it, else locked and opened here."""

import argparse
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.repository import NAME, Candidate, Choice, Lock, find, is_repository, node_socket, require, search

if TYPE_CHECKING:
    from commonhold.agent.keystore import Keystore
    from commonhold.agent.names import Names
    from commonhold.agent.naming import Found, Named
    from commonhold.api import BlockStore, Reclaimed, Records, Report
    from commonhold.blockstore.store import Store
    from commonhold.formats.cid import Cid
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
    """The working directory, unless it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


@contextmanager
def opened(args: argparse.Namespace, out: Output, before: Callable[[Path], None] | None = None) -> Iterator["Opened"]:
    """The repository, for as long as the block runs. `before` is done under the lock, before it opens."""
    choice = choose(args)
    for path, why in choice.passed_over:
        out.remark(f"note: passed over {path}: {why}")
    node = serving(choice.path)
    if node is None:
        with _locked(args, out, choice.path, before) as repository:
            yield repository
        return
    if before is not None:
        node.close()
        raise HoldError("open", Kind.BUSY, str(choice.path), "a node has it", hint="hold down")
    with closing(node), closing(Served(state_of(choice.path), node)) as served:
        yield served


@contextmanager
def _locked(
    args: argparse.Namespace, out: Output, path: Path, before: Callable[[Path], None] | None
) -> Iterator["Embedded"]:
    from commonhold.blockstore.store import Store

    lock = Lock(path, " ".join(args.argv)[:200])
    try:
        if before is not None:
            before(path)
        with Store(path) as store, closing(Embedded(path, store)) as repository:
            for note in store.notes:
                out.remark(f"note: {note}")
            yield repository
    finally:
        lock.release()


def serving(path: Path) -> "NodeStore | None":
    """The node that serves a repository, or that is behind a socket given in its place; None if there is none."""
    socket = listens(path)
    if socket is None:
        return None
    from commonhold.ipc.endpoint import owners
    from commonhold.ipc.nodeclient import NodeStore

    node = NodeStore(socket, owners(socket, os.geteuid()))
    try:
        node.hello()
    except HoldError as error:
        node.close()
        if error.kind is Kind.UNREACHABLE and is_repository(path):
            return None  # what a killed node left
        raise
    return node


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


def place_of_state(path: Path) -> Path:
    """The directory of the caller's own things: their repository, or ~/.hold if it is another's."""
    if is_repository(path) and path.stat().st_uid == os.geteuid():
        return path
    home = _home()
    if home is None:
        raise HoldError("find", Kind.USAGE, "$HOME", "not set, and keys would be kept there", hint="set HOME")
    return home / NAME


def keystore(args: argparse.Namespace) -> "Keystore":
    """The keys of whoever calls. Needs no lock: each change is whole."""
    from commonhold.agent.keystore import Keystore

    path = choose(args).path
    if not is_repository(path) and listens(path) is None:
        require(path)
    return Keystore(state_of(path), os.geteuid())


class Opened:
    """An open repository. `path` is where the caller's own things are: keys, and what `add --reuse` trusts."""

    def __init__(self, path: Path, store: "BlockStore") -> None:
        from commonhold.agent.blocks import Blocks

        self.path = path
        self.store = store
        self.blocks = Blocks(store, self._follow)

    def find(self, named: "Named") -> "Found":
        """What a word of the command names, opened if it is sealed."""
        from commonhold.agent.naming import find

        return find(named, self.blocks)

    def records(self) -> "Records":
        """The signed records that are kept here."""
        raise NotImplementedError

    @property
    def names(self) -> "Names":
        """The names that the records kept here tell of."""
        from commonhold.agent.names import Names

        return Names(self.records(), os.geteuid())

    def _follow(self, cid: "Cid", path: "Sequence[str]") -> "tuple[Cid, Sequence[str]]":
        from commonhold.formats import ipns

        return self.names.resolve(ipns.name_of_cid(cid), path, time.time_ns())

    def collect(self, *, despite_doubt: bool) -> "Reclaimed":
        """Delete what no pin of the caller's keeps."""
        raise NotImplementedError

    def verify(self, tell: "Callable[[int], None]") -> "Report":
        """Check everything of the caller's; `tell` is told the bytes read so far."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened beside the store."""


class Embedded(Opened):
    """Node and agent of one user, in this process."""

    def __init__(self, path: Path, store: "Store") -> None:
        super().__init__(path, store)
        self._local = store
        self._records: Records | None = None

    def records(self) -> "Records":
        """See `Opened`."""
        from commonhold.node import records

        if self._records is None:
            self._records = records.RecordStore(self.path / records.FILE)
        return self._records

    def collect(self, *, despite_doubt: bool) -> "Reclaimed":
        """See `Opened`."""
        from commonhold.blockstore.reclaim import collect

        return collect(self._local, despite_doubt=despite_doubt)

    def verify(self, tell: "Callable[[int], None]") -> "Report":
        """See `Opened`."""
        from commonhold.blockstore.verify import verify

        return verify(self._local, tell)

    def close(self) -> None:
        """See `Opened`."""
        if self._records is not None:
            self._records.close()


class Served(Opened):
    """The agent of one user in this process, and the node that everybody shares behind a socket."""

    def __init__(self, path: Path, node: "NodeStore") -> None:
        super().__init__(path, node)
        self._remote = node

    def records(self) -> "Records":
        """See `Opened`."""
        return self._remote.records

    def collect(self, *, despite_doubt: bool) -> "Reclaimed":
        """See `Opened`."""
        return self._remote.collect()

    def verify(self, tell: "Callable[[int], None]") -> "Report":
        """See `Opened`."""
        from commonhold.agent.checking import check

        return check(self._remote, tell)
