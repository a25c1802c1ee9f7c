"""What a user's programs ask of that user's agent: the same where it is in their own process or behind a socket.

`what` is `CID[/path]`, `/ipns/NAME[/path]`, `CAPABILITY[/path]` or `LINK[/path]`. Relative paths begin in the
caller's working directory, and what is made has the caller's umask. Errors are HoldError. `ipc/agentwords` has these
calls on the wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from commonhold.api import Pin, Reclaimed, Report, Usage
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash


class OsPath(str):
    """A path of the file system, as Python has it: bytes that are no UTF-8 are surrogates in it."""

    __slots__ = ()


class Open:
    """An open file of the caller's, and what to call it. Whoever is given one neither closes nor keeps it.

    `caller`: the connection that it came by, whose end is the end of all waiting for it; None in the caller's process.
    """

    __slots__ = ("caller", "fd", "said")

    def __init__(self, fd: int, said: str, caller: int | None = None) -> None:
        self.fd = fd
        self.said = said
        self.caller = caller


class Watcher(Protocol):
    """Whoever wants to know how a call goes. Paths are fit to be shown."""

    def bytes(self, count: int) -> None:
        """So many more bytes were read or written. 0 of them: it is about to be made final."""
        ...

    def part(self, name: str, count: int) -> None:
        """So many more bytes went to one of several places."""
        ...

    def file(self, path: str, cid: Cid, size: int) -> None:
        """One more file, directory or link is in. Told only where it was asked for."""
        ...

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""
        ...

    def remark(self, text: str) -> None:
        """Something worth saying that is no result."""
        ...


@dataclass(frozen=True, slots=True)
class Adding:
    """How something is to be added. `chunker` None is the profile's own; `name` None is the CID."""

    profile: str = "unixfs-v1-2025"
    chunker: str | None = None
    hidden: bool = False
    mode: bool = False
    mtime: bool = False
    recursive: bool = False
    sealed: bool = False
    wrap: bool = False  # in one directory, which is the root then
    only_hash: bool = False  # store nothing
    reuse: bool = False  # trust sizes and times of what was added before
    verbose: bool = False  # tell of every file
    name: str | None = None
    readers: tuple[int, ...] = ()


class Added(NamedTuple):
    """One root. `path` is fit to be shown; `capability` opens what was sealed."""

    path: str
    cid: Cid
    size: int
    capability: str | None
    files: int


class Got(NamedTuple):
    """What was written out: how many files, directories and links."""

    cid: Cid
    files: int


class Stat(NamedTuple):
    """What something is: `file`, `directory`, `symlink`… `size` in bytes of content; `mtime` in seconds since 1970."""

    cid: Cid
    type: str
    sharded: bool
    size: int
    links: int
    mode: int | None
    mtime: float | None
    target: str | None


class Listed(NamedTuple):
    """An entry of a directory. `stat` is None where only names were asked for, or where it is not here."""

    name: str
    cid: Cid
    stat: Stat | None


class Files(Protocol):
    """Files and trees, in and out."""

    def add(self, paths: list[OsPath], how: Adding, source: Open | None, watcher: Watcher) -> Added:
        """Add a path, or several that are to be wrapped, as one pin. The path `-` is `source`."""
        ...

    def get(self, what: str, target: OsPath, watcher: Watcher) -> Got:
        """Write something out where there is nothing yet."""
        ...

    def archive(self, what: str, into: Open, watcher: Watcher) -> Got:
        """Write it to an open file as a tar archive, below the last name of the path."""
        ...

    def read(self, what: str, start: int, stop: int | None, into: Open) -> None:
        """Write a file's bytes of [start, stop) to an open file. BrokenPipeError where nobody reads them."""
        ...

    def listing(self, what: str, names_only: bool) -> Iterator[Listed]:
        """A directory's entries; of anything else itself."""
        ...

    def stat(self, what: str) -> Stat: ...


class Pins(Protocol):
    """What is kept, under names."""

    def add(self, what: str, name: str | None, readers: tuple[int, ...]) -> Pin:
        """Keep a graph that is here, whole."""
        ...

    def all(self) -> Iterator[Pin]: ...

    def keys(self, name: str) -> Iterator[Multihash]: ...

    def remove(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...


class Measure(NamedTuple):
    """How many different blocks a graph has, and their bytes."""

    cid: Cid
    blocks: int
    bytes: int


class Imported(NamedTuple):
    """What an archive had."""

    roots: list[Cid]
    blocks: int
    bytes: int


class Graphs(Protocol):
    """Blocks and graphs of any codec, in and out."""

    def put_block(self, data: bytes, codec: str, hashing: str, name: str | None) -> Cid:
        """Store a block; a name pins it."""
        ...

    def block(self, cid: str) -> bytes: ...

    def block_size(self, cid: str) -> int: ...

    def delete_block(self, cid: str) -> int:
        """Delete a block that nothing keeps; its size."""
        ...

    def node(self, what: str) -> tuple[Cid, str]:
        """A node as dag-json; a path follows keys, positions and links."""
        ...

    def measure(self, what: str) -> Measure: ...

    def export(self, what: str, into: Open, watcher: Watcher) -> Measure:
        """Write a graph to an open file as a CARv1, parents first."""
        ...

    def take(self, source: Open, name: str | None, pin: bool, watcher: Watcher) -> Imported:
        """Take a CAR in from an open file; pin its roots. `name` asks for one root."""
        ...


class Keeping(Protocol):
    """The whole of what is kept for this user."""

    def usage(self) -> Usage: ...

    def collect(self, despite_doubt: bool) -> Reclaimed:
        """Delete what no pin keeps."""
        ...

    def verify(self, watcher: Watcher) -> Report:
        """Check everything."""
        ...


class KeyName(NamedTuple):
    """What a key shows of itself: its label here, and its public name."""

    label: str
    name: str


class Keyring(Protocol):
    """Keys that names are published with."""

    def all(self) -> list[KeyName]: ...

    def make(self, label: str) -> KeyName: ...

    def rename(self, old: str, new: str) -> KeyName: ...

    def remove(self, label: str) -> None: ...

    def export(self, label: str, target: OsPath) -> KeyName: ...

    def take(self, label: str, source: OsPath) -> KeyName: ...


class Published(NamedTuple):
    """What a name points at from now on. `absent` says why that cannot be read here, if it cannot."""

    key: KeyName
    value: str
    sequence: int
    validity: str
    absent: str | None


class Pointing(NamedTuple):
    """A name whose record this user has handed in, and what the record says; `key` is its label, if the key is here."""

    name: str
    key: str | None
    value: str
    sequence: int
    validity: str
    expired: bool


class Naming(Protocol):
    """Names that point at content. Times in nanoseconds."""

    def all(self) -> list[Pointing]:
        """What this user has published here."""
        ...

    def remove(self, name: str) -> None:
        """Take this user's record of a name back from where it is kept. Who has it elsewhere keeps it."""
        ...

    def publish(self, path: str, key: str | None, lifetime: int | None, ttl: int | None) -> Published:
        """Let a key's name point at a path; without a key, the only one there is."""
        ...

    def resolve(self, name: str) -> tuple[str, str]:
        """The name, and the path that it and the path below it point at."""
        ...

    def record(self, name: str) -> bytes:
        """The record that wins, in force or not."""
        ...


class Mounts(Protocol):
    """What the kernel's programs see of this user's trees."""

    def attend(self, mount: Open) -> None:
        """Serve a mount, whose connected socket this is, from now on. Returns at once."""
        ...

    def attended(self) -> list[OsPath]:
        """The mounts that are served now, by the sockets where agents come to them."""
        ...


class Held(NamedTuple):
    """What is in a tree, as stat(2) has it. Times in nanoseconds since 1970; whose it is, as principals."""

    mode: int
    links: int
    owner: str
    group: str
    size: int
    blocks: int
    accessed: int
    modified: int
    changed: int
    born: int
    device: int
    target: OsPath | None


class HeldEntry(NamedTuple):
    """An entry of a directory of a tree. `held` is None where only names were asked for."""

    name: OsPath
    held: Held | None


class Moved(NamedTuple):
    """How many files, directories and links were written."""

    files: int


class OwnTree(Protocol):
    """The caller's own writable tree, as a mount shows it. `path` is /hold/me/…; the own name is as good as `me`."""

    def put(self, sources: list[OsPath], path: OsPath, source: Open | None, watcher: Watcher) -> Moved:
        """Copy files and directories into the tree: into a directory, or one of them under a name. `-` is `source`."""
        ...

    def get(self, path: OsPath, target: OsPath, watcher: Watcher) -> Moved:
        """Write something out where there is nothing yet."""
        ...

    def read(self, path: OsPath, start: int, stop: int | None, into: Open) -> None:
        """Write a file's bytes of [start, stop) to an open file. BrokenPipeError where nobody reads them."""
        ...

    def listing(self, path: OsPath, names_only: bool) -> Iterator[HeldEntry]:
        """A directory's entries; of anything else itself."""
        ...

    def stat(self, path: OsPath) -> Held: ...

    def make_directory(self, path: OsPath, parents: bool) -> None:
        """Make a directory; `parents`: and those above it, and none if it is there."""
        ...

    def remove(self, path: OsPath, recursive: bool) -> None:
        """Remove a name, and with `recursive` all that is below it."""
        ...


class Snapshot(NamedTuple):
    """A point in time of the own tree or of a part of it. `root` opens it: a CID, or a read capability.

    `made` in seconds since 1970; `size` in bytes of content; `automatic` ones were made before something was replaced.
    """

    name: str
    path: OsPath
    root: str
    cid: Cid
    made: float
    size: int
    files: int
    automatic: bool


class Shooting(NamedTuple):
    """How a snapshot is to be made. `name` None is the time. Sealed unless `plain`, which `readers` may read, too."""

    name: str | None = None
    plain: bool = False
    readers: tuple[int, ...] = ()


class Restored(NamedTuple):
    """What was written, where, and under which name there is a snapshot of what was in its place."""

    path: OsPath
    files: int
    before: str | None


class History(Protocol):
    """Snapshots of the own tree."""

    def take(self, path: OsPath, how: Shooting, watcher: Watcher) -> Snapshot:
        """Make one, while whoever writes goes on."""
        ...

    def all(self, path: OsPath) -> Iterator[Snapshot]:
        """Those in which a path is, the oldest first; of a path below theirs, those in which it is not as before."""
        ...

    def remove(self, name: str) -> None:
        """Let one go."""
        ...

    def restore(self, what: str, below: OsPath, to: OsPath | None, watcher: Watcher) -> Restored:
        """Put a snapshot, or what is at a path below it, where it was, or to another path. `what` is its name, a CID
        or a capability."""
        ...


class KeptTree(NamedTuple):
    """A sealed tree that is kept on a grid, k-of-n; `until` in seconds since 1970, when its leases end.

    `looked`: when it was last looked at, None before that has happened; it was `whole`, `readable` or `missing` then,
    and `said` is what is wrong; `next`: when that is due again.
    """

    grid: str
    name: str
    shape: str
    packs: int
    made: int
    until: int
    state: str | None
    looked: int | None
    next: int | None
    said: str


class Regular(NamedTuple):
    """How a path of the own tree is to be kept: its name (None: the path's), grid, period in seconds, and how many
    generations (None: as they are, or as is usual)."""

    name: str | None
    grid: str | None
    every: int
    generations: int | None


class KeptPath(NamedTuple):
    """A policy: a path of the own tree that is kept on a grid again and again; times in seconds since 1970.

    `done`: when that last went well, and `next` is due; `kept` generations of `generations` are on the grid, and `root`
    opens the newest; `said` is what went wrong since.
    """

    grid: str
    name: str
    path: OsPath
    every: int
    generations: int
    kept: int
    done: int | None
    next: int
    said: str
    root: str | None


class PackHealth(NamedTuple):
    """How one pack of a kept tree is: which share is at which servers (their pins), whose are damaged, and why; and who
    did not say. Shares at servers that are `leaving` do not count.
    """

    bytes: int
    whole: bool
    readable: bool
    shares: list[tuple[int, list[str]]]
    damaged: list[tuple[str, str]]
    failed: list[tuple[str, str]]
    leaving: list[tuple[str, int]]


class TreeHealth(NamedTuple):
    """How a kept tree is. The first pack is the list of the others."""

    grid: str
    name: str
    shape: str
    whole: bool
    readable: bool
    packs: list[PackHealth]


class ServerUse(NamedTuple):
    """What an account uses and may use at one server, in bytes; or why that is not known."""

    grid: str
    server: str
    name: str
    quota: int | None
    used: int | None
    shares: int | None
    why: str | None


class Sharing(NamedTuple):
    """How something is to be shared: `to` one account, by its receiving key, or else to whoever has the link. `keep`:
    put it on the grid first if it is not there, under a name (None: its CID)."""

    to: str | None = None
    grid: str | None = None
    keep: bool = False
    name: str | None = None


class Shared(NamedTuple):
    """What opens a tree that a grid keeps: a link, open or sealed. `kept`: it was put there for that."""

    grid: str
    link: str
    kept: bool


class Receiving(NamedTuple):
    """The receiving key of an account, as others are given it."""

    grid: str
    key: str


class EndedTree(NamedTuple):
    """What is not kept any more: how many servers were told; who was not, by pin and name, and why; and when what
    those have goes by itself, in seconds since 1970."""

    grid: str
    name: str
    told: int
    untold: list[tuple[str, str, str]]
    gone: int


class Grids(Protocol):
    """What is kept on the grids that this user has joined. `grid` None is the only one. `what` is a capability or link,
    or the name under which something is kept."""

    def names(self) -> list[str]:
        """The grids."""
        ...

    def keep(self, what: str, name: str | None, grid: str | None, watcher: Watcher) -> KeptTree:
        """Have a sealed tree, which is here, kept by servers of a grid."""
        ...

    def all(self) -> list[KeptTree]:
        """What is kept."""
        ...

    def keep_path(self, path: OsPath, how: Regular, watcher: Watcher) -> KeptPath:
        """Have a path of the own tree kept again and again, from now on; or change how that is done."""
        ...

    def keep_due(self, watcher: Watcher) -> list[KeptPath]:
        """Do at once what is due of that."""
        ...

    def paths(self) -> list[KeptPath]:
        """What is kept so."""
        ...

    def end(self, what: str, grid: str | None) -> EndedTree:
        """Have a grid keep something no longer, but for what it has in common with other things kept there; of a policy
        all generations."""
        ...

    def check(self, what: str, grid: str | None, deep: bool) -> TreeHealth:
        """Look where the shares of a kept tree are. `deep`: and read all of them."""
        ...

    def repair(self, what: str, grid: str | None, watcher: Watcher) -> TreeHealth:
        """Have missing and damaged shares made again; how it is then."""
        ...

    def meant(self, to: str | None, grid: str | None) -> str:
        """The grid on which something is shared: that of a receiving key, the one that is named, or the only one."""
        ...

    def share(self, what: str, how: Sharing, watcher: Watcher) -> Shared:
        """A link to a sealed tree. NOT_FOUND for one that no grid keeps, unless it is to be put there."""
        ...

    def receiving(self, grid: str | None) -> list[Receiving]:
        """The receiving keys of this user's accounts; DENIED where there is none."""
        ...

    def use(self, grid: str | None) -> list[ServerUse]:
        """What the account uses, server by server."""
        ...


class Agent(Protocol):
    """One user's agent."""

    @property
    def files(self) -> Files: ...

    @property
    def pins(self) -> Pins: ...

    @property
    def graphs(self) -> Graphs: ...

    @property
    def keeping(self) -> Keeping: ...

    @property
    def keys(self) -> Keyring: ...

    @property
    def names(self) -> Naming: ...

    @property
    def mounts(self) -> Mounts: ...

    @property
    def tree(self) -> OwnTree: ...

    @property
    def history(self) -> History: ...

    @property
    def grids(self) -> Grids: ...
