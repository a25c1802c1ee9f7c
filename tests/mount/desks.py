"""A desk with nobody around it: what it wants done is written down, and what agents say is made up."""

import os
import struct
from typing import Any, NamedTuple

from commonhold.formats.fusereplies import Attr, Payload, Reply
from commonhold.ipc.treeframes import Frame
from commonhold.ipc.treewords import BY_NUMBER, HEAD, encode
from commonhold.mount import slots
from commonhold.mount.desk import Desk
from commonhold.mount.slots import IPFS_SLOT, Slots
from commonhold.trees import ROOT
from commonhold.trees import Attr as TreeAttr
from tests.mount.kernel import ALICE, BOB, CAROL, PUBLIC, SHIFT, request

NODE = 3 << SHIFT | 7  # the first user's
FILE = TreeAttr(7, 0o100644, 1, "alice@home", "bob@home", 5, 8, 1_500_000_000, 2_000_000_001, -1, 0, 0)
FOLDER = FILE._replace(mode=0o40755)
HOUR = 3600 * 10**9
TIMES = (1, 2, -1, 500_000_000, 1, 999_999_999)
SHOWN = Attr(NODE, 5, 8, *TIMES, 0o100644, 1, ALICE, BOB, 0, 4096)  # FILE, to the kernel
NAMES = {ALICE: b"alice", BOB: b"bob", CAROL: b"carol", PUBLIC: b"hold-public", 0: b"root"}


class Homes:
    """The users of a host; `replies.Ids` and `ownnodes.Users`. Groups have the names and numbers of users."""

    def __init__(self, names: dict[int, bytes] | None = None) -> None:
        self._names = NAMES if names is None else names

    def named(self, name: bytes) -> int | None:
        return next((uid for uid, known in self._names.items() if known == name), None)

    def name(self, uid: int) -> bytes | None:
        return self._names.get(uid)

    def user(self, uid: int) -> str | None:
        name = self._names.get(uid)
        return None if name is None else f"{name.decode()}@home"

    def uid(self, principal: str) -> int | None:
        name, _, realm = principal.rpartition("@")
        return self.named(name.encode()) if realm == "home" else None

    group, gid = user, uid


class Call(NamedTuple):
    """A frame that was sent to an agent."""

    uid: int
    id: int
    name: str
    tree: int
    flags: int
    given: Any
    payload: bytes


class Answer(NamedTuple):
    """What the kernel was answered: an errno or 0, and what is behind the head."""

    errno: int
    body: bytes


def said(reply: Reply) -> Answer:
    """A reply as the kernel reads it."""
    return Answer(-int.from_bytes(reply[0][4:8], "little", signed=True), reply[0][16:] + bytes(reply[1]))


class Mount:
    """A desk, and what it did. `agents.Outside`."""

    def __init__(self, *there: int, public: int = PUBLIC, workers: int = 1) -> None:
        fd = slots.create()
        for _ in range(workers):
            self.slots = Slots(fd, public)
        os.close(fd)
        self.desk = Desk(self.slots, Homes(), Homes(), self)
        self.agents = self.desk.agents
        self.replies: list[tuple[int, Answer]] = []
        self.calls: list[Call] = []
        self.starts: list[int] = []
        self.told: list[Reply] = []
        self.alive = False  # whoever asks, whatever signal they get
        self._unique = 0
        for uid in there:
            self.agents.arrived(uid)

    # ── what the desk does ──

    def reply(self, reply: Reply) -> None:
        raw = reply[0] + bytes(reply[1])
        length, error, unique = struct.unpack_from("<IiQ", raw)
        assert length == len(raw) and -512 < error <= 0, "the kernel takes no such reply"
        self.replies.append((unique, Answer(-error, raw[16:])))

    def call(self, uid: int, first: bytes, payload: Payload) -> None:
        body, length, id_, code, tree, flags = HEAD.unpack_from(first)
        assert (body, length) == (len(first) - HEAD.size, len(payload))
        call = BY_NUMBER[code]
        given = call.given.decode(first[HEAD.size :])
        self.calls.append(Call(uid, id_, call.name, tree, flags, given, bytes(payload)))

    def start(self, uid: int) -> None:
        self.starts.append(uid)

    def tell(self, notice: Reply) -> None:
        self.told.append(notice)

    def ending(self, thread: int) -> bool:
        return not self.alive

    # ── what happens to it ──

    def root(self, uid: int) -> int:
        """The node number of a user's root."""
        return self.slots.slot(uid) << SHIFT | ROOT

    def node(self, uid: int, number: int) -> int:
        return self.slots.slot(uid) << SHIFT | number

    def ask(self, opcode: int, body: bytes, node: int, uid: int = ALICE, unique: int = 0) -> int:
        """Ask something as the kernel does; its id."""
        self._unique += 2
        unique = unique or self._unique
        self.desk.ask(memoryview(bytearray(request(opcode, body, node, uid, unique))))
        return unique

    def answer(
        self, uid: int, id_: int, result: Any = None, *, payload: bytes = b"", error: int = 0, tree: int = 0
    ) -> None:
        """Have an agent answer."""
        self.say(uid, id_, error, encode(result), payload, tree)

    def say(self, uid: int, id_: int, code: int, body: bytes, payload: bytes = b"", tree: int = 0) -> None:
        """Have an agent say anything."""
        views = [memoryview(bytearray(part)) for part in (body, payload)]
        self.agents.answer(uid, Frame(id_, code, tree, 0, *views))

    def replied(self, unique: int) -> list[Answer]:
        """What one request was answered."""
        return [answer for known, answer in self.replies if known == unique]

    def only(self, unique: int) -> Answer:
        """The one answer to a request."""
        (answer,) = self.replied(unique)
        return answer


def two_users() -> Mount:
    """A mount with the agents of two users, of whom the first has NODE."""
    found = Mount(ALICE, BOB)
    assert found.node(ALICE, 7) == NODE
    found.root(BOB)
    return found


PUBLIC_ROOT = IPFS_SLOT << SHIFT | ROOT
