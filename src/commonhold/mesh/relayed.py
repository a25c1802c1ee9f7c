"""A server that nobody can dial keeps a call open to a relay, and answers when the relay says that a client has come.

What it answers with is a connection to the relay on which the client's own TLS arrives: `listen.serve` takes it from
`Brought`. REQUIREMENTS D17; docs/spec/relay.md. Which ports the relay names counts, and nothing else that it says.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind
from commonhold.formats import relaywords, statement
from commonhold.formats.address import Address
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.relaywords import Call, Granted, Knock, Refused, Token
from commonhold.mesh.conversation import Conversation, Turns, asked
from commonhold.mesh.outbox import Room
from commonhold.mesh.setting import Setting
from commonhold.transport.brought import Brought
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial, reach
from commonhold.transport.exchange import said_of
from commonhold.transport.retrying import Pace, Retry

PATH: Final = "/v1/relay"
ANSWERS: Final = 64  # of knocks, under way at a time
_OP: Final = "call relay"
PACE: Final = Pace(longest=60.0)


class Relayed:
    """One relay's call, of the server that has this key. `addresses` are those at which clients find it there.

    `told` gets what there is to say to a person: a new address, and why a call came to nothing, once for each reason.
    """

    def __init__(
        self, relay: Address, seed: Seed, brought: Brought, setting: Setting, told: Callable[[str], None],
        pace: Pace = PACE,
    ) -> None:  # fmt: skip
        self.addresses: tuple[str, ...] = ()
        self._relay = relay
        self._seed = seed
        self._brought = brought
        self._setting = setting
        self._told = told
        self._pace = pace
        self._why = ""  # of the last failure that was told

    async def run(self) -> None:
        """Keep the call open until cancelled."""
        retry, time = Retry(self._pace, self._setting.draw), self._setting.time
        wait = retry.before_first()
        while True:
            await time.sleep(wait)
            since = time.now()
            try:
                await self._call()
            except HoldError as error:
                self._tell(f"the relay {self._relay.server} is of no use now: {error.why}")
                wait = retry.after_failure()
            else:
                wait = retry.after_end(time.now() - since)

    async def _call(self) -> None:
        """One call, until it ends. HoldError if it never came to be one."""
        setting = self._setting
        connection = await dial(self._relay.server, self._relay.hints, setting.rules, setting.randomness)
        try:
            async with asyncio.TaskGroup() as group:
                line = _Line(self, connection, group)
                await line.hold()
        finally:
            await connection.close()
        if line.failure is not None:
            raise line.failure

    def made(self, connection: Connection) -> bytes:
        """What the server signs for a call by this connection."""
        said = Call(self._relay.server, connection.own, int(self._setting.time.now()))
        return signed(statement.Kind.CALL, said.body, self._seed).encoded

    def conversation(self, heard: Callable[[bytes], None]) -> Conversation:
        """The call's, as it begins."""
        return Conversation(self._setting.time, self._setting.draw, Room(), Turns(0), heard)

    def granted(self, port: int) -> None:
        """The relay has a port for this server."""
        hosts = [hint.host for hint in self._relay.hints if isinstance(hint, TcpHint)]
        found = tuple(str(TcpHint(host, port)) for host in dict.fromkeys(hosts))
        self._why = ""
        if found != self.addresses:
            self.addresses = found
            self._told(f"reached at {', '.join(found)}, by a relay")

    async def answer(self, where: TcpHint, token: Token) -> None:
        """Connect to the relay for a client's stream, and have the server take it."""
        try:
            sock = await reach(self._relay.server, where, self._setting.rules)
        except HoldError as error:
            self._tell(f"the relay {self._relay.server} cannot be answered: {error.why}")
            return
        try:
            async with asyncio.timeout(self._setting.rules.direct_seconds):
                await asyncio.get_running_loop().sock_sendall(sock, relaywords.preface(token))
        except (OSError, TimeoutError) as error:
            sock.close()
            self._tell(f"the relay {self._relay.server} cannot be answered: {said_of(error)}")
        except BaseException:
            sock.close()
            raise
        else:
            self._brought.put(sock)

    def _tell(self, why: str) -> None:
        if why != self._why:
            self._why = why
            self._told(why)


class _Line:
    """One call that is open: what the relay says on it, and the knocks that are being answered."""

    def __init__(self, relayed: Relayed, connection: Connection, group: asyncio.TaskGroup) -> None:
        self._relayed = relayed
        self._connection = connection
        self._group = group
        self._conversation = relayed.conversation(self._heard)
        self._answers: TcpHint | None = None  # once a port is granted
        self._answering: set[asyncio.Task[None]] = set()
        self._refused = ""

    async def hold(self) -> None:
        """Call, and listen until it ends; then nothing more is answered."""
        self._conversation.send(self._relayed.made(self._connection))
        try:
            async with aclosing(asked(self._connection, PATH, self._conversation)) as coming:
                await self._conversation.hold(coming, None)
        finally:
            for one in self._answering:
                one.cancel()

    @property
    def failure(self) -> HoldError | None:
        """Why the call has come to nothing; None if a port was granted."""
        if self._answers is not None:
            return None
        kind = Kind.DENIED if self._refused else Kind.UNREACHABLE
        return HoldError(_OP, kind, str(self._connection.server), self._refused or self._conversation.why)

    def _heard(self, data: bytes) -> None:
        try:
            self._take(relaywords.decode(data))
        except Malformed as error:
            self._conversation.end(f"it does not speak as a relay does: {error.why}", fault=True)

    def _take(self, said: relaywords.Word) -> None:
        match said:
            case Granted() if self._answers is None:
                hint = self._connection.hint
                assert isinstance(hint, TcpHint)  # no others are a relay's
                # Not the name once more: whoever has that could have it mean a machine of this server's own network.
                self._answers = TcpHint(self._connection.host or hint.host, said.answers)
                self._relayed.granted(said.port)
            case Refused() if self._answers is None:
                self._refused = said.why
                self._relayed.addresses = ()
                self._conversation.end(said.why)
            case Knock() if self._answers is not None:
                self._knocked(self._answers, said.token)
            case _:
                raise Malformed("relay's word", "out of turn")

    def _knocked(self, where: TcpHint, token: Token) -> None:
        if len(self._answering) < ANSWERS:
            task = self._group.create_task(self._relayed.answer(where, token))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
