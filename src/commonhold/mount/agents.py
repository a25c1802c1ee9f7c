"""The users' agents: what each is asked, whether it is there or waited for, and what it says. No I/O.

Every call that is made here is answered to the kernel once: by what the agent says, or with an errno when it does not
come, leaves, or is interrupted and does not end.
"""

import errno
import struct
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from commonhold.formats import fusenotices, fusereplies
from commonhold.formats.fuse import Request
from commonhold.formats.fuseflags import UNIQUE_RESEND
from commonhold.formats.fusereplies import Payload, Reply
from commonhold.formats.malformed import Malformed
from commonhold.ipc.treeframes import Frame, head
from commonhold.ipc.treewords import BY_NAME, RESENT, Call, Notice, encode
from commonhold.mount.known import Known
from commonhold.mount.replies import Finish, Lied, as_locked, failure
from commonhold.mount.slots import SHIFT, Slots
from commonhold.trees import MAX_IO, MAX_NAME, MAX_NUMBER

BACKGROUND = 512  # reads ahead and writes behind at once, of all users together
_MAX_WAITING = 4096  # calls for an agent that is not there yet
_MAX_KEPT = BACKGROUND * MAX_IO  # bytes of these: all that the kernel writes behind
_MAX_FORGOTTEN = 1024  # by one call
_NOTHING = b""
_OBJECT = msgspec.msgpack.Decoder(tuple[int])
_NAME = msgspec.msgpack.Decoder(tuple[int, bytes])


class Outside(Protocol):
    """Whoever does what was decided."""

    def reply(self, reply: Reply) -> None:
        """Answer the kernel."""
        ...

    def call(self, uid: int, first: bytes, payload: Payload) -> None:
        """Send a frame to a user's agent, which is there. The payload is good until this returns."""
        ...

    def start(self, uid: int) -> None:
        """Have a user's agent come."""
        ...

    def tell(self, notice: Reply) -> None:
        """Tell the kernel what it did not ask for."""
        ...

    def ending(self, thread: int) -> bool:
        """Whether a thread has been killed, and ends as soon as it is answered; also where nobody can tell."""
        ...


class Refused(Exception):
    """What the kernel asks is refused, with an errno."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno = number


class _Asked:
    """A call under way."""

    __slots__ = ("call", "context", "finish", "first", "payload", "thread", "unique")

    def __init__(
        self, request: Request, call: Call, finish: Finish, context: Any, first: bytes, payload: Payload
    ) -> None:
        self.unique = request.unique
        self.thread = request.pid  # whose request it is
        self.call = call
        self.finish = finish
        self.context = context
        self.first = first  # kept until it was sent
        self.payload = payload


class _Agent:
    """What is asked of one user's agent."""

    __slots__ = ("abandoned", "asked", "coming", "kept", "patient", "there", "waiting")

    def __init__(self) -> None:
        self.there = False
        self.coming = False
        self.asked: dict[int, _Asked] = {}
        self.waiting: dict[int, _Asked] = {}  # until it is there
        self.patient: dict[int, _Asked] = {}  # waits for locks, which take as long as they take
        self.kept = 0  # bytes of their payloads
        self.abandoned: set[int] = set()  # calls whose answers nobody waits for any more


class Agents:
    """See the module."""

    def __init__(self, slots: Slots, known: Known, outside: Outside) -> None:
        self._slots = slots
        self._known = known
        self._outside = outside
        self._agents: dict[int, _Agent] = {}
        self._interrupted: list[tuple[_Agent, int]] = []  # since we looked
        self._late: list[tuple[_Agent, int]] = []  # before that

    # ── what they are asked ──

    def call(
        self, request: Request, name: str, given: Sequence[Any], finish: Finish, context: Any = None,
        payload: Payload = _NOTHING,
    ) -> None:  # fmt: skip
        """Ask the agent whose node a request is about; `finish` makes a reply of its answer. Refused with EPERM, ESTALE
        for what is in no tree, with EBUSY where too many wait."""
        tree = self._slots.tree(request.nodeid >> SHIFT)
        if tree is None:
            raise Refused(errno.EPERM if request.nodeid >> SHIFT == 0 else errno.ESTALE)
        uid, which = tree
        call = BY_NAME[name]
        unique = request.unique
        id_ = unique & ~UNIQUE_RESEND
        flags = RESENT if unique & UNIQUE_RESEND else 0
        first = head(id_, call.number, which, flags, encode(given), len(payload))
        agent = self._agents.get(uid)
        if agent is None:
            agent = self._agents[uid] = _Agent()
        asked = _Asked(request, call, finish, context, first, payload)
        if agent.there:
            self._send(uid, agent, id_, asked)
            return
        if len(agent.waiting) >= _MAX_WAITING or agent.kept + len(payload) > _MAX_KEPT:
            raise Refused(errno.EBUSY)
        asked.payload = bytes(payload)
        agent.kept += len(payload)
        agent.waiting[id_] = asked
        if not agent.coming:
            agent.coming = True
            self._outside.start(uid)

    def _send(self, uid: int, agent: _Agent, id_: int, asked: _Asked) -> None:
        """Make a call of an agent that is there."""
        (agent.patient if asked.finish is as_locked else agent.asked)[id_] = asked
        self._outside.call(uid, asked.first, asked.payload)
        asked.payload = _NOTHING

    def tell(self, nodeid: int, name: str, given: Sequence[Any]) -> None:
        """Tell an agent something that needs no answer, if it is there."""
        tree = self._slots.tree(nodeid >> SHIFT)
        if tree is None:
            return
        uid, which = tree
        agent = self._agents.get(uid)
        if agent is not None and agent.there:
            self._outside.call(uid, head(0, BY_NAME[name].number, which, 0, encode(given), 0), _NOTHING)

    def forget(self, items: Sequence[tuple[int, int]]) -> None:
        """The kernel has so many references to these nodes less. Agents hear of those to which it has none left."""
        for slot, numbers in self._known.returned(items).items():
            for start in range(0, len(numbers), _MAX_FORGOTTEN):
                self.tell(slot << SHIFT, "forget", (numbers[start : start + _MAX_FORGOTTEN],))

    def interrupt(self, unique: int) -> None:
        """Who waits for a request has got a signal. If they end of it, what waits for an agent that is not there yet
        ends now; what an agent does, unless it is done soon (`look`). If they don't, they wait on, as for a disk; but
        nobody waits for a lock after a signal."""
        id_ = unique & ~UNIQUE_RESEND
        for agent in self._agents.values():
            asked = agent.waiting.get(id_)
            if asked is not None:
                if not self._end(agent, id_, asked):
                    self._interrupted.append((agent, id_))
            elif id_ in agent.patient:
                self._interrupted.append((agent, id_))
                self.tell(agent.patient[id_].context << SHIFT, "interrupt", (id_,))
            elif id_ in agent.asked:
                self._interrupted.append((agent, id_))

    def look(self) -> None:
        """End what was to be ended when we looked last, and is not done yet. Whoever was to be killed can die then."""
        late, self._late, self._interrupted = self._late, self._interrupted, []
        for agent, id_ in late:
            asked = agent.waiting.get(id_) or agent.asked.get(id_) or agent.patient.get(id_)
            if asked is not None and not self._end(agent, id_, asked):
                self._late.append((agent, id_))

    def _end(self, agent: _Agent, id_: int, asked: _Asked) -> bool:
        """Answer whoever has been killed, or waits for a lock; whether they were answered."""
        if asked.finish is not as_locked and not self._outside.ending(asked.thread):
            return False
        if agent.waiting.pop(id_, None) is not None:
            agent.kept -= len(asked.payload)
        else:
            agent.asked.pop(id_, None)
            agent.patient.pop(id_, None)
            agent.abandoned.add(id_)
        self._outside.reply(fusereplies.error(asked.unique, errno.EINTR))
        return True

    # ── whether they are there ──

    def asked(self, uid: int) -> bool:
        """Whether a user's agent owes an answer."""
        agent = self._agents.get(uid)
        return agent is not None and bool(agent.asked)

    @property
    def busy(self) -> bool:
        """Whether any agent does."""
        return any(agent.asked for agent in self._agents.values())

    def arrived(self, uid: int) -> None:
        """A user's agent is there: what waits for it is sent."""
        agent = self._agents.setdefault(uid, _Agent())
        agent.there, agent.coming = True, False
        waiting, agent.waiting, agent.kept = agent.waiting, {}, 0
        for id_, asked in waiting.items():
            self._send(uid, agent, id_, asked)

    def absent(self, uid: int) -> None:
        """A user's agent does not come: whoever waits for it is told."""
        agent = self._agents.get(uid)
        if agent is not None:
            agent.coming = False
            waiting, agent.waiting, agent.kept = agent.waiting, {}, 0
            self._fail(waiting)

    def left(self, uid: int) -> None:
        """A user's agent has hung up: nobody knows what became of what it was asked."""
        agent = self._agents.get(uid)
        if agent is not None:
            agent.there = False
            agent.abandoned.clear()
            asked, agent.asked = agent.asked, {}
            self._fail(asked)
            if agent.patient:  # whoever waits for a lock goes on waiting, with the agent that comes next
                agent.waiting |= agent.patient
                agent.patient = {}
                agent.coming = True
                self._outside.start(uid)

    def _fail(self, calls: dict[int, _Asked]) -> None:
        for asked in calls.values():
            self._outside.reply(fusereplies.error(asked.unique, errno.EIO))

    # ── what they say ──

    def answer(self, uid: int, frame: Frame) -> None:
        """Take a frame of a user's agent. Lied for what cannot be."""
        if frame.id == 0:
            self._notice(uid, frame)
            return
        agent = self._agents[uid]
        asked = agent.asked.pop(frame.id, None) or agent.patient.pop(frame.id, None)
        if asked is None:
            if frame.id in agent.abandoned:
                agent.abandoned.remove(frame.id)
                return
            raise Lied("an answer to what was not asked")
        try:
            if frame.code:
                reply = failure(asked.unique, frame.code)
            else:
                reply = asked.finish(asked.unique, frame, asked.context)
        except (Lied, Malformed, msgspec.MsgspecError, struct.error) as error:
            self._outside.reply(fusereplies.error(asked.unique, errno.EIO))
            raise Lied(f"{asked.call.name}: {error}") from error
        self._outside.reply(reply)

    def _notice(self, uid: int, frame: Frame) -> None:
        """Pass on what an agent says of its user's own tree."""
        name = None
        try:
            if frame.code in (Notice.OBJECT, Notice.NAMELESS):
                (number,) = _OBJECT.decode(frame.body)
            elif frame.code == Notice.NAME:
                number, name = _NAME.decode(frame.body)
            else:
                raise Lied(f"notice {frame.code}")
        except msgspec.MsgspecError as error:
            raise Lied(str(error)) from error
        if not 0 < number <= MAX_NUMBER or (name is not None and not 0 < len(name) <= MAX_NAME):
            raise Lied(f"a notice of number {number}")
        slot = self._slots.of(uid, frame.tree)
        if slot is None:  # nor does the kernel know anything of it
            return
        nodeid = slot << SHIFT | number
        if frame.code == Notice.NAMELESS:
            if self._known.never_given(nodeid):
                self.forget([(nodeid, 0)])
            return
        notice = fusenotices.inval_inode(nodeid, 0, 0) if name is None else fusenotices.inval_entry(nodeid, name, 0)
        self._outside.tell(notice)
