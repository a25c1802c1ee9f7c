"""Changes that a command makes to the own tree: each is told to the mounts, and all are on disk in the end."""

import contextlib
import secrets
import stat
import time
from collections.abc import Iterator

from commonhold.agent.own import Own
from commonhold.trees import EXCHANGE, NO_REPLACE, Attr, Change, Who

_COMMIT_SECONDS = 2.0


class Changes:
    """What a command does to a tree. Errors are OSError, as of a `trees.Tree`."""

    def __init__(self, own: Own) -> None:
        self.volume = own.volume()
        self.who = own.who()
        self._own = own
        self._next = time.monotonic() + _COMMIT_SECONDS

    @contextlib.contextmanager
    def unnamed(self, parent: int, mode: int, who: Who | None = None) -> Iterator[Attr]:
        """A new file for a directory, without a name yet; if it still has none when the block ends, it is gone."""
        attr = self.volume.make(parent, b"", mode, 0, b"", who or self.who, True)
        try:
            yield attr
        finally:
            self.volume.forget([attr.number])

    def make(
        self, parent: int, name: bytes, mode: int, device: int = 0, target: bytes = b"", who: Who | None = None
    ) -> Attr:
        """Make an object under a name that is free: EEXIST."""
        attr = self.volume.make(parent, name, mode, device, target, who or self.who, True)
        self.named(parent, name)
        return attr

    def make_over(self, parent: int, name: bytes, mode: int, target: bytes = b"") -> Attr:
        """Make what is neither a file nor a directory, in place of what has its name. EISDIR for a directory."""
        try:
            return self.make(parent, name, mode, 0, target)
        except FileExistsError:
            partial = partial_name(name)
            attr = self.make(parent, partial, mode, 0, target)
            self._move_over(parent, partial, name)
            return attr

    def place(self, number: int, parent: int, name: bytes) -> None:
        """Give an object that is no directory a name, in place of what had it. EISDIR for a directory."""
        try:
            self.volume.link(number, parent, name)
        except FileExistsError:
            if self.volume.lookup(parent, name).number == number:
                return
            partial = partial_name(name)
            self.volume.link(number, parent, partial)
            self._move_over(parent, partial, name)
        else:
            self.named(parent, name)

    def _move_over(self, parent: int, partial: bytes, name: bytes) -> None:
        before = self.volume.lookup(parent, name).number
        try:
            self.rename(parent, partial, parent, name, 0)
        except BaseException:
            self.unlink(parent, partial)
            raise
        self._own.let_go(before)

    def named(self, parent: int, name: bytes) -> None:
        """What a name leads to is new."""
        self._own.name(parent, name)
        self._own.object(parent)
        self._pause()

    def change(self, number: int, change: Change) -> Attr:
        """Change attributes."""
        attr = self.volume.change(number, change)
        self._own.object(number)
        return attr

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        """Move a name."""
        self.volume.rename(parent, name, new_parent, new_name, flags)
        self.named(parent, name)
        self.named(new_parent, new_name)

    def put_over(self, parent: int, partial: bytes, name: bytes) -> None:
        """Have what is under a partial name take the place of whatever has the name, in one step, and remove that."""
        try:
            self.rename(parent, partial, parent, name, NO_REPLACE)
        except FileExistsError:
            self.rename(parent, partial, parent, name, EXCHANGE)
            self.remove(parent, partial)

    def unlink(self, parent: int, name: bytes) -> None:
        """Take the name of what is no directory away; what has no name left is gone, unless a mount has it."""
        number = self.volume.lookup(parent, name).number
        self.volume.unlink(parent, name)
        self._gone(parent, name, number)

    def rmdir(self, parent: int, name: bytes) -> None:
        """Remove an empty directory."""
        number = self.volume.lookup(parent, name).number
        self.volume.rmdir(parent, name)
        self._gone(parent, name, number)

    def _gone(self, parent: int, name: bytes, number: int) -> None:
        self.named(parent, name)
        self._own.object(number)
        self._own.let_go(number)

    def remove(self, parent: int, name: bytes) -> None:
        """Remove a name and all that is below it, without recursion."""
        stack = [(parent, name, self.volume.lookup(parent, name))]
        while stack:
            above, one, attr = stack[-1]
            if not stat.S_ISDIR(attr.mode):
                self.unlink(above, one)
                stack.pop()
                continue
            below = self.volume.listing(attr.number, 0, 256, True)
            if not below:
                self.rmdir(above, one)
                stack.pop()
            stack += [(attr.number, item.name, item.attr) for item in below if item.attr is not None]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Run a block of which no commit has a part only."""
        with self.volume.together():
            before, self._next = self._next, float("inf")
            try:
                yield
            finally:
                self._next = before

    def _pause(self) -> None:
        """Commit now and then: what is done lies in memory until then."""
        now = time.monotonic()
        if now >= self._next:
            self.volume.commit()
            self._next = now + _COMMIT_SECONDS

    def done(self) -> None:
        """All is on disk on return."""
        self.volume.sync(0)


def partial_name(name: bytes) -> bytes:
    """A name for what is not whole yet."""
    return b".%b.%b.partial" % (name[:200], secrets.token_hex(4).encode())
