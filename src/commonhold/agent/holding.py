"""The locks on a tree's objects, for all its mounts: who waits is answered late, what is held outlives the process.

Every change is a line in a journal before it is answered. An agent that was killed and comes back has what it had; who
waited asks again. Not for a power cut: that ends the programs that hold locks, too. docs/spec/locking.md.
"""

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from commonhold.formats.malformed import Malformed
from commonhold.host.saying import say
from commonhold.locking.locks import Locks
from commonhold.locking.values import MAX_OFFSET, NONE, Lock, Outcome, Owner, from_row, row
from commonhold.trees import Held

_LONG = 4096  # lines beyond what is held, until the journal is written anew

Told = Callable[[int], None]


class Holding:
    """The locks of one tree, journalled in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.RLock()
        self._waiting: dict[tuple[str, int], Told] = {}
        self._locks = Locks()
        self._lines = 0
        self._load()
        self._journal = self._anew()

    def close(self) -> None:
        """Close the journal."""
        with self._turn:
            os.close(self._journal)

    # ── the journal ──

    def _load(self) -> None:
        """Do again what the journal says. A last line that is cut short was never answered."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        try:
            for line in lines:
                name, *values = json.loads(line)
                self._again(name, values)
        except (ValueError, TypeError, Malformed) as error:
            say("hold agent", f"the journal of locks ends here: {error}")

    def _again(self, name: str, values: list[object]) -> None:
        if name == "set":
            self._locks.set(None, from_row(values), wait=False)
        elif name == "left":
            (client,) = values
            self._locks.left(str(client))
        else:
            number, client, owner, handle = values
            if not isinstance(number, int) or not isinstance(handle, int):
                raise TypeError("not numbers")
            whose = Owner(str(client), owner) if isinstance(owner, int) else None
            if name == "closed" and whose is not None:
                self._locks.closed(number, whose)
            else:
                self._locks.released(number, str(client), handle, whose)

    def _anew(self) -> int:
        """Write the journal from what is held; it is open for more."""
        rows = self._locks.dump()
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.write(fd, b"".join(_line("set", *one) for one in rows))
        fresh.rename(self._path)
        self._lines = 0
        return fd

    def _note(self, name: str, *values: object) -> None:
        os.write(self._journal, _line(name, *values))
        self._lines += 1
        if self._lines > _LONG:
            old, self._journal = self._journal, self._anew()
            os.close(old)

    # ── calls ──

    def test(self, client: str, number: int, owner: int, start: int, end: int, kind: int) -> Held | None:
        """See `trees.Locking`."""
        with self._turn:
            wanted = Lock(number, False, Owner(client, owner), 0, start, min(end, MAX_OFFSET), kind, 0)
            found = self._locks.test(wanted)
        if found is None:
            return None
        return Held(found.start, found.end, found.mode, found.pid if found.owner.client == client else 0)

    def lock(self, client: str, call: int, wanted: Lock, wait: bool, told: Told) -> None:
        """Take or give up a lock; `told` is told the errno or 0, now or later."""
        with self._turn:
            answer = self._locks.set((client, call), wanted, wait)
            if answer.outcome is Outcome.WAITING:
                self._waiting[client, call] = told
            if answer.outcome is Outcome.GRANTED:
                self._note("set", *row(wanted))
            elif wanted.flock and answer.outcome in (Outcome.REFUSED, Outcome.WAITING):  # what it had is gone
                self._note("set", *row(wanted._replace(mode=NONE)))
            self._grant(answer.granted)
        if answer.outcome is not Outcome.WAITING:
            told(int(answer.outcome))

    def _grant(self, requests: list[object]) -> None:
        """Answer who has its lock now."""
        if requests:
            # Of what was granted the table alone knows what it is now: it is written as it stands.
            old, self._journal = self._journal, self._anew()
            os.close(old)
        for request in requests:
            told = self._waiting.pop(request, None)  # type: ignore[call-overload]
            if told is not None:
                told(0)

    def interrupt(self, client: str, call: int) -> None:
        """See `trees.Locking`."""
        with self._turn:
            granted = self._locks.cancel((client, call))
            told = self._waiting.pop((client, call), None)
            if granted is not None:
                self._grant(granted)
            if told is not None:
                told(errno.EINTR)

    def closed(self, client: str, number: int, owner: int) -> None:
        """See `trees.Locking`."""
        with self._turn:
            self._note("closed", number, client, owner, 0)
            self._grant(self._locks.closed(number, Owner(client, owner)))

    def released(self, client: str, number: int, handle: int, owner: int | None) -> None:
        """See `trees.Locking`."""
        with self._turn:
            self._note("released", number, client, owner, handle)
            whose = None if owner is None else Owner(client, owner)
            self._grant(self._locks.released(number, client, handle, whose))

    def left(self, client: str) -> None:
        """A mount is gone, and with it every program that could have had a lock through it."""
        with self._turn:
            for request in [one for one in self._waiting if one[0] == client]:
                del self._waiting[request]
            self._note("left", client)
            self._grant(self._locks.left(client))

    def clients(self) -> set[str]:
        """The mounts by which something is held."""
        with self._turn:
            return {one[2] for one in self._locks.dump()}


def _line(name: str, *values: object) -> bytes:
    return json.dumps([name, *values]).encode() + b"\n"
