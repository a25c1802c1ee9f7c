"""Adding: a file or a tree of the file system into one session, depth first, names in byte order.

What is not a file, directory or symbolic link is skipped and said so; a name that is not UTF-8 is an error.
"""

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from commonhold.agent.content import Content
from commonhold.agent.ignoring import Rules
from commonhold.agent.reuse import Reuse, Seen, Signature
from commonhold.api import Session
from commonhold.errors import HoldError, Kind, from_os, os_errors
from commonhold.formats.unixfs import Mtime
from commonhold.host.names import shown
from commonhold.unixfs.build import Built, build_symlink
from commonhold.unixfs.chunk import CdcChunker, FixedChunker
from commonhold.unixfs.directory import Entry, build_directory, is_utf8
from commonhold.unixfs.profile import Profile

# Not to wait for a pipe's other end, should one have come in a file's place.
_ROOT_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_FILE_FLAGS = _ROOT_FLAGS | os.O_NOFOLLOW
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Options:
    """What may change which CIDs come out."""

    profile: Profile
    chunker: FixedChunker | CdcChunker
    hidden: bool = False
    mode: bool = False
    mtime: bool = False
    recursive: bool = False

    @property
    def label(self) -> str:
        """The same for two adds whose results can stand for each other."""
        return f"{self.profile.name} {self.chunker} {self.hidden:d}{self.mode:d}{self.mtime:d}"


class Watcher(Protocol):
    """Whoever wants to know how an add goes."""

    def bytes(self, count: int) -> None:
        """So many more bytes were read."""

    def file(self, path: str, built: Built) -> None:
        """One more file, directory or link is in."""

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""


class Adder:
    """Adds paths to one session. `own` is the directory of the repository it goes to, which no tree takes in."""

    def __init__(
        self,
        session: Session,
        options: Options,
        watcher: Watcher,
        reuse: Reuse | None = None,
        own: os.stat_result | None = None,
    ) -> None:
        self._session = session
        self._own = own
        self._options = options
        self._watcher = watcher
        self._reuse = reuse
        self._signature = Signature()
        self._content = Content(session, options.profile, options.chunker, watcher.bytes)

    def unchanged(self, path: str) -> Built | None:
        """What a path was added as before, if its notes say that nothing in it has changed. Nothing is read."""
        if self._reuse is None:
            return None
        signature = Signature()
        try:
            if not os.path.isdir(path):
                signature.take("", Seen.of(os.stat(path)))
            else:
                self._look(path, signature)
        except OSError as error:
            raise from_os("add", shown(path), error) from error
        return self._reuse.tree(path, signature)

    def _look(self, root: str, signature: Signature) -> None:
        """Take the signature of a directory as an add of it would."""
        stack = [_Open(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), root, Rules.none())]
        signature.take("", Seen.of(os.fstat(stack[0].fd)))
        try:
            while stack:
                here = stack[-1]
                todo = self._todo(here)
                while todo:
                    name = todo.pop().name
                    status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
                    if self._is_own(status):
                        continue
                    signature.take(name, Seen.of(status))
                    if stat.S_ISDIR(status.st_mode):
                        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=here.fd)
                        stack.append(_Open(fd, f"{here.path}/{name}", here.rules))
                        break
                else:
                    signature.leave()
                    os.close(stack.pop().fd)
        finally:
            for left in stack:
                os.close(left.fd)

    def _is_own(self, status: os.stat_result) -> bool:
        return self._own is not None and os.path.samestat(status, self._own)

    def close(self) -> None:
        """End what runs beside it."""
        self._content.close()

    def add(self, path: str) -> Built:
        """Add what a path names; a symbolic link given by its own name is followed."""
        self._signature = Signature()
        built = self._add(path)
        if self._reuse:
            self._reuse.note_tree(path, self._signature, built)
        return built

    def _add(self, path: str) -> Built:
        try:
            status = os.stat(path)
            self._signature.take("", Seen.of(status))
            if self._is_own(status):
                raise HoldError(
                    "add", Kind.USAGE, shown(path), "is the repository itself", hint="add what is beside it"
                )
            if stat.S_ISDIR(status.st_mode):
                if not self._options.recursive:
                    raise HoldError("add", Kind.USAGE, shown(path), "is a directory", hint=f"hold add -r {shown(path)}")
                return self._directory(_open_seen(path, status), path, Rules.none())
            if not stat.S_ISREG(status.st_mode):
                raise HoldError(
                    "add",
                    Kind.UNSUPPORTED,
                    shown(path),
                    "is neither a file nor a directory",
                    hint="hold add - reads a pipe",
                )
            fd = _open_seen(path, status)
            return self._file(fd, path, os.fstat(fd))
        except OSError as error:
            raise from_os("add", shown(path), error) from error

    def add_stream(self, source: BinaryIO) -> Built:
        """Add what a stream gives."""
        return self._content.add_stream(source)

    def wrap(self, entries: list[tuple[str, Built]]) -> Built:
        """Add a directory of what was added."""
        return self._put_directory([Entry(name, built.cid, built.tsize) for name, built in entries], None, None)

    # ── kinds of things ──

    def _file(self, fd: int, path: str, before: os.stat_result) -> Built:
        try:
            seen = Seen.of(before)
            known = self._reuse.file(path, seen) if self._reuse else None
            if known is not None:
                built = known
                self._watcher.bytes(built.size)
            else:
                built = self._content.add_file(fd, before.st_size, shown(path), *self._attributes(before))
                if Seen.of(os.fstat(fd)) != seen:
                    raise HoldError("add", Kind.CHANGED, shown(path), "the file changed while it was read")
            if self._reuse:
                self._reuse.note_file(path, seen, built)
        finally:
            os.close(fd)
        self._watcher.file(path, built)
        return built

    def _attributes(self, status: os.stat_result) -> tuple[int | None, Mtime | None]:
        mode = stat.S_IMODE(status.st_mode) if self._options.mode else None
        mtime = Mtime(*divmod(status.st_mtime_ns, 1_000_000_000)) if self._options.mtime else None
        return mode, mtime

    def _link(self, target: str, path: str, status: os.stat_result) -> Built:
        mtime = self._attributes(status)[1]
        try:
            encoded = target.encode()
        except UnicodeEncodeError as error:
            raise HoldError(
                "add", Kind.INVALID, shown(path), "a link whose target is not UTF-8", hint="list it in .holdignore"
            ) from error
        built, block = build_symlink(self._options.profile, encoded, mtime)
        self._session.put(block.cid.multihash, block.data)
        self._watcher.file(path, built)
        return built

    def _directory(self, fd: int, path: str, rules: Rules) -> Built:
        """Add a directory and all below it, without recursion: a tree may be as deep as the file system allows."""
        stack = [_Open(fd, path, rules)]
        try:
            while True:
                here = stack[-1]
                todo = self._todo(here)
                if todo:
                    self._step(stack, here, todo.pop())
                    continue
                built = self._leave(here)
                self._signature.leave()
                stack.pop()
                os.close(here.fd)
                if not stack:
                    return built
                stack[-1].entries.append(Entry(os.path.basename(here.path), built.cid, built.tsize))
        except OSError as error:
            raise from_os("add", shown(stack[-1].path), error) from error
        finally:
            for left in stack:
                os.close(left.fd)

    def _todo(self, here: "_Open") -> list["os.DirEntry[str]"]:
        """The entries still to add, last first; a directory is listed when it is first asked."""
        if here.todo is None:
            here.todo = self._list(here)
        return here.todo

    def _list(self, here: "_Open") -> list["os.DirEntry[str]"]:
        with os.scandir(here.fd) as found:
            entries = list(found)
        here.rules = here.rules.within(here.fd, here.path)
        if not self._options.hidden:
            entries = [entry for entry in entries if not entry.name.startswith(".")]
        if here.rules.any:
            entries = [entry for entry in entries if not here.ignores(entry)]
        return sorted(entries, key=lambda entry: os.fsencode(entry.name), reverse=True)

    def _step(self, stack: list["_Open"], here: "_Open", entry: "os.DirEntry[str]") -> None:
        name, path = entry.name, f"{here.path}/{entry.name}"
        if not is_utf8(name):
            raise HoldError(
                "add", Kind.INVALID, shown(path), "the name is not UTF-8", hint="rename it, or list it in .holdignore"
            )
        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
            self._unopened(here, name, path, None)  # to open a pipe or a device is to do something to it
            return
        try:
            fd = os.open(name, _FILE_FLAGS, dir_fd=here.fd)
        except OSError as error:
            self._unopened(here, name, path, error)
            return
        status = os.fstat(fd)
        kind = status.st_mode
        if stat.S_ISDIR(kind) and self._is_own(status):
            os.close(fd)
            self._watcher.skipped(path, "the repository itself")
            return
        self._signature.take(name, Seen.of(status))
        if stat.S_ISREG(kind):
            built = self._file(fd, path, status)
            here.entries.append(Entry(name, built.cid, built.tsize))
        elif stat.S_ISDIR(kind):
            stack.append(_Open(fd, path, here.rules))
        else:
            os.close(fd)
            self._watcher.skipped(path, _what(kind))

    def _unopened(self, here: "_Open", name: str, path: str, error: OSError | None) -> None:
        """A symbolic link, a special file, or something that cannot be read."""
        with os_errors("add", shown(path)):
            status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
        self._signature.take(name, Seen.of(status))
        if stat.S_ISLNK(status.st_mode):
            built = self._link(os.readlink(name, dir_fd=here.fd), path, status)
            here.entries.append(Entry(name, built.cid, built.tsize))
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            raise _replaced(path) if error is None else from_os("add", shown(path), error) from error
        else:
            self._watcher.skipped(path, _what(status.st_mode))

    def _leave(self, here: "_Open") -> Built:
        mode, mtime = self._attributes(os.fstat(here.fd)) if self._options.mode or self._options.mtime else (None, None)
        built = self._put_directory(here.entries, mode, mtime)
        self._watcher.file(here.path, built)
        return built

    def _put_directory(self, entries: list[Entry], mode: int | None, mtime: Mtime | None) -> Built:
        plan = build_directory(self._options.profile, entries, mode=mode, mtime=mtime)
        while True:
            try:
                block = next(plan)
            except StopIteration as end:
                built: Built = end.value
                return built
            self._session.put(block.cid.multihash, block.data)


class _Open:
    """A directory being added."""

    __slots__ = ("entries", "fd", "path", "rules", "todo")

    def __init__(self, fd: int, path: str, rules: Rules) -> None:
        self.fd = fd
        self.path = path.rstrip("/") or "/"
        self.rules = rules
        self.todo: list[os.DirEntry[str]] | None = None  # still to add, last first
        self.entries: list[Entry] = []

    def ignores(self, entry: "os.DirEntry[str]") -> bool:
        """Whether the rules leave out what is listed here."""
        return self.rules.ignores(f"{self.path}/{entry.name}", is_directory=entry.is_dir(follow_symlinks=False))


def _open_seen(path: str, seen: os.stat_result) -> int:
    """Open what was seen under a path. CHANGED if there is something else by now."""
    fd = os.open(path, _ROOT_FLAGS)
    found = os.fstat(fd)
    # An inode's number may be given again to what comes next.
    if not os.path.samestat(found, seen) or stat.S_IFMT(found.st_mode) != stat.S_IFMT(seen.st_mode):
        os.close(fd)
        raise _replaced(path)
    return fd


def _replaced(path: str) -> HoldError:
    return HoldError("add", Kind.CHANGED, shown(path), "something else came in its place while it was added")


def _what(mode: int) -> str:
    for test, name in ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISBLK, "a block device")):
        if test(mode):
            return name
    return "a character device"
