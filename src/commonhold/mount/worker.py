"""The mount's worker: one loop between the kernel's device and the agents' sockets. It decides nothing (`desk`).

It runs as a user of its own, without privileges and without a network; what it has are the descriptors that the keeper
gave it. One that is killed is replaced, and the kernel sends again what was not answered.
"""

import errno
import os
import select
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from commonhold.formats import fusenotices
from commonhold.formats.fusereplies import Payload, Reply
from commonhold.formats.malformed import Malformed
from commonhold.host import sockets
from commonhold.host.busypoll import BusyPoll
from commonhold.host.saying import say
from commonhold.ipc.peer import credentials
from commonhold.ipc.treeframes import Broken, Incoming, Outgoing, head
from commonhold.ipc.treewords import HELLO, NOTICE, PROTOCOL, Hello, encode
from commonhold.mount.desk import Desk
from commonhold.mount.notices import Notices
from commonhold.mount.ownnodes import Users
from commonhold.mount.replies import Ids, Lied
from commonhold.mount.slots import Slots

_BUFFER = (1 << 20) + 8192
_BATCH = 2  # requests taken before the agents are told of them: they work meanwhile
_GREETING_SECONDS = 10.0
_GREETING_MOST = 64  # who has not said hello yet
_COMING_SECONDS = 30.0
_SILENT_SECONDS = 30.0  # until an agent that answers nothing is given up
_PAUSE_MOST = 30.0  # seconds until one that did not come is sent for again; half a second at first
_LOOK_SECONDS = 1.0  # between two looks whether somebody is to be given up
_SOCKET_BUFFER = 4 << 20  # as much of it as the system lets us have
_QUEUE = 640 << 20  # bytes that wait for one agent: more than the kernel writes behind at once
_PENDING = ("SigPnd:", "ShdPnd:")
_KILL = 1 << signal.SIGKILL - 1
_HELLO = msgspec.msgpack.Decoder(Hello)


class Given(NamedTuple):
    """What the keeper gives a worker: descriptors of the device, of the socket where agents come, of the keeper's own
    connection and of the memory that outlives it; and the mount's epoch, and who serves what is everybody's."""

    device: int
    agents: int
    keeper: int
    slots: int
    epoch: bytes
    public: int


class _Connection:
    """An agent, or somebody who says so."""

    __slots__ = ("greeted", "incoming", "out", "quiet", "since", "sock", "uid", "wants_out")

    def __init__(self, sock: socket.socket, uid: int, now: float) -> None:
        self.sock = sock
        self.uid = uid
        self.greeted = False
        self.quiet = True  # it owes no answer
        self.since = now  # when it last said something, or came to owe an answer
        self.incoming = Incoming()
        self.out = Outgoing()
        self.wants_out = False


class Worker:
    """See the module; `agents.Outside`."""

    def __init__(self, given: Given, ids: Ids, users: Users) -> None:
        self._device = given.device
        self._epoch = given.epoch
        self._notices = Notices(given.device)
        self._listening = socket.socket(fileno=given.agents)
        self._listening.setblocking(False)
        self._keeper = socket.socket(fileno=given.keeper)
        self._keeper.setblocking(False)
        self._slots = Slots(given.slots, given.public)
        self._desk = Desk(self._slots, ids, users, self)
        self._agents: dict[int, _Connection] = {}  # by uid, greeted
        self._connections: dict[int, _Connection] = {}  # by descriptor
        self._full: set[_Connection] = set()  # to be flushed after this batch
        self._coming: dict[int, float] = {}  # until when
        self._looked = 0.0
        self._deaf = False  # to whoever knocks, until there are descriptors
        self._failed: dict[int, tuple[float, float]] = {}  # whose agent did not come: not before when, and the pause
        self._poll = select.epoll()
        os.set_blocking(self._device, False)
        for fd in (self._device, self._listening.fileno(), self._keeper.fileno()):
            self._poll.register(fd, select.EPOLLIN)
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)

    def run(self) -> None:
        """Serve until the mount is gone, or the keeper."""
        if self._slots.minor:  # another worker has served this mount before
            self.reply(fusenotices.resend())
        self._keeper.send(b"R")
        patience = _LOOK_SECONDS
        poll = BusyPoll()

        def now() -> list[tuple[int, int]] | None:
            return self._poll.poll(0) or None

        while True:
            ready = poll.wait(now, partial(self._poll.poll, patience))
            patience = _LOOK_SECONDS if ready else self._patience()
            for fd, events in ready:
                if fd == self._device:
                    if not self._requests():
                        return
                elif fd in self._connections:
                    self._serve(self._connections[fd], events)
                elif fd == self._listening.fileno():
                    self._accept()
                elif not self._heed():
                    return
            if self._full:
                self._flush_all()
            self._give_up()

    # ── the kernel ──

    def _requests(self) -> bool:
        """Take what the kernel asks; False when the mount is gone."""
        device, room, view, ask = self._device, [self._buffer], self._view, self._desk.ask
        for _ in range(_BATCH):
            try:
                size = os.readv(device, room)
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno == errno.ENOENT:  # taken back before it was read
                    continue
                if error.errno in (errno.ENODEV, errno.ECONNABORTED):
                    return False
                raise
            try:
                ask(view[:size])
            except Malformed as error:
                say("hold mount", f"a request that is none: {error}")
        return True

    def reply(self, reply: Reply) -> None:
        """See `agents.Outside`."""
        first, payload = reply
        try:
            if payload:
                os.writev(self._device, reply)
            else:
                os.write(self._device, first)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ECONNABORTED):  # nobody waits for it any more
                say("hold mount", f"the kernel takes no reply: {error.strerror}")
                if error.errno != errno.EINVAL:
                    raise
                with suppress(OSError):
                    os.writev(self._device, _refusal(reply))

    # ── agents ──

    def call(self, uid: int, first: bytes, payload: Payload) -> None:
        """See `agents.Outside`."""
        agent = self._agents[uid]
        idle = agent.quiet
        if idle:
            agent.quiet = False
            agent.since = time.monotonic()
        agent.out.add(first)
        if payload or idle:  # who has nothing to do may begin; the rest goes together
            self._send(agent, payload)
        if not (payload or idle) or agent.out.size > _QUEUE:
            self._full.add(agent)

    def start(self, uid: int) -> None:
        """See `agents.Outside`. One that did not come is not sent for again at once."""
        now = time.monotonic()
        if now < self._failed.get(uid, (0.0, 0.0))[0]:
            self._desk.agents.absent(uid)
            return
        self._coming[uid] = now + _COMING_SECONDS
        try:
            self._keeper.send(b"A" + uid.to_bytes(4, "little"))
        except BlockingIOError:  # it has enough to do
            self._coming[uid] = 0.0

    def tell(self, notice: Reply) -> None:
        """See `agents.Outside`."""
        self._notices.tell(notice)

    def ending(self, thread: int) -> bool:
        """See `agents.Outside`. Source: proc(5), status. What ends a process is a SIGKILL to each of its threads."""
        try:
            with open(f"/proc/{thread}/status") as status:
                return any(int(line.split()[1], 16) & _KILL for line in status if line.startswith(_PENDING))
        except OSError:  # it is not there any more, or not for us to see
            return True

    def _send(self, agent: _Connection, payload: Payload = b"") -> None:
        """Send what can be sent at once; the rest goes when there is room."""
        try:
            agent.out.send(agent.sock, payload)
        except OSError:  # it has left, which is seen when it is read from
            agent.out = Outgoing()
        self._want(agent, bool(agent.out))

    def _want(self, agent: _Connection, out: bool) -> None:
        if out != agent.wants_out:
            agent.wants_out = out
            self._poll.modify(agent.sock, select.EPOLLIN | (select.EPOLLOUT if out else 0))

    def _flush_all(self) -> None:
        full, self._full = self._full, set()
        for agent in full:
            if agent.sock.fileno() < 0:
                continue
            if agent.out and not agent.wants_out:
                self._send(agent)
            if agent.out.size > _QUEUE:
                self._end(agent, "it does not read")

    def _accept(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except OSError as error:
            if error.errno in sockets.SCARCE:  # the next look is soon enough
                self._poll.modify(self._listening.fileno(), 0)
                self._deaf = True
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        peer = credentials(sock)
        mine = sum(one.uid == peer.uid for one in self._connections.values())
        if not peer.mapped or self._greeting >= _GREETING_MOST or mine >= 2:
            sock.close()
            return
        connection = _Connection(sock, peer.uid, time.monotonic())
        self._connections[sock.fileno()] = connection
        self._poll.register(sock, select.EPOLLIN)

    @property
    def _greeting(self) -> int:
        """How many have not said hello yet."""
        return len(self._connections) - len(self._agents)

    def _serve(self, agent: _Connection, events: int) -> None:
        if events & select.EPOLLHUP and not agent.greeted:  # it came while there was no worker, and did not wait
            self._drop(agent)
            return
        try:
            if events & select.EPOLLOUT:
                self._send(agent)
            if events & ~select.EPOLLOUT:
                self._hear(agent)
        except (Broken, Lied, msgspec.MsgspecError) as error:
            say("hold mount", f"the agent of uid {agent.uid}: {str(error)[:200]}")
            self._drop(agent)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(agent)

    def _hear(self, agent: _Connection) -> None:
        if not agent.incoming.fill(agent.sock):
            self._drop(agent)
            return
        uid, answer = agent.uid, self._desk.agents.answer
        for frame in agent.incoming.frames():
            if agent.greeted:
                answer(uid, frame)
                continue
            if (frame.id, frame.code) != (NOTICE, HELLO) or _HELLO.decode(frame.body).protocol != PROTOCOL:
                raise Broken("no hello, or one of another version")
            self._greet(agent)
        agent.since = time.monotonic()
        agent.quiet = not self._desk.agents.asked(uid)

    def _greet(self, agent: _Connection) -> None:
        if agent.uid in self._agents:
            raise Broken("another one is there already")
        agent.greeted = True
        agent.out.add(head(NOTICE, HELLO, 0, 0, encode(self._desk.welcome(agent.uid, self._epoch)), 0))
        self._full.add(agent)
        self._agents[agent.uid] = agent
        self._coming.pop(agent.uid, None)
        self._failed.pop(agent.uid, None)
        self._desk.agents.arrived(agent.uid)

    def _drop(self, agent: _Connection) -> None:
        self._connections.pop(agent.sock.fileno(), None)
        with suppress(OSError):
            self._poll.unregister(agent.sock)
        agent.sock.close()
        if self._agents.get(agent.uid) is agent:
            del self._agents[agent.uid]
            self._desk.agents.left(agent.uid)

    # ── patience ──

    def _patience(self) -> float:
        """Seconds until somebody may have to be given up; as long as it takes where nobody is waited for."""
        return _LOOK_SECONDS if self._deaf or self._coming or self._greeting or self._desk.agents.busy else -1

    def _give_up(self) -> None:
        """Give up who does not come, does not say hello, or does not answer."""
        now = time.monotonic()
        if now < self._looked + _LOOK_SECONDS:
            return
        self._looked = now
        self._desk.agents.look()
        if self._deaf:
            self._deaf = False
            self._poll.modify(self._listening.fileno(), select.EPOLLIN)
        for uid in [uid for uid, until in self._coming.items() if until <= now]:
            self._absent(uid, "it does not come")
        for one in list(self._connections.values()):
            if not one.greeted:
                if one.since + _GREETING_SECONDS <= now:
                    self._drop(one)
            elif self._desk.agents.asked(one.uid) and one.since + _SILENT_SECONDS <= now:
                self._end(one, "it does not answer")

    def _end(self, agent: _Connection, why: str) -> None:
        say("hold mount", f"the agent of uid {agent.uid} is given up: {why}")
        self._drop(agent)

    def _absent(self, uid: int, why: str) -> None:
        self._coming.pop(uid, None)
        pause = min(2 * self._failed.get(uid, (0.0, 0.25))[1], _PAUSE_MOST)
        self._failed[uid] = (time.monotonic() + pause, pause)
        say("hold mount", f"the agent of uid {uid}: {why}")
        self._desk.agents.absent(uid)

    # ── the keeper ──

    def _heed(self) -> bool:
        """Do what the keeper says; False when it is gone."""
        try:
            said = self._keeper.recv(64)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not said:
            return False
        if said[:1] == b"F" and len(said) == 5:
            uid = int.from_bytes(said[1:], "little")
            if uid in self._coming:
                self._absent(uid, "it could not be started")
        return True


def _refusal(reply: Reply) -> Reply:
    """What to say instead of a reply that the kernel does not take."""
    from commonhold.formats import fusereplies

    return fusereplies.error(int.from_bytes(reply[0][8:16], "little"), errno.EIO)
