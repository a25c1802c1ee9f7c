"""The calls that servers keep open to a relay: who has called, by the proof of its key, and what it is told.

docs/spec/relay.md. A stranger says one thing, which is judged, and is hung up on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from commonhold.authority import times
from commonhold.crypto.statements import verified
from commonhold.formats import statement
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.formats.relaywords import MAX_SAID, Granted, Knock, Refused, Token, parse_call
from commonhold.mesh.conversation import Conversation, Turns, Write
from commonhold.mesh.outbox import Room
from commonhold.mesh.setting import Setting

_READ_SECONDS: Final = 1.0  # in which who is refused reads that
_UNTAKEN: Final = 64 << 10  # bytes that wait for a server to take them


class Calls:
    """See the module. `ports` are those of the servers that are admitted, `answers` where they answer."""

    def __init__(
        self, relay: SpkiPin, ports: Mapping[SpkiPin, int], answers: int, setting: Setting, call_seconds: float
    ) -> None:
        self._relay = relay
        self._ports = ports
        self._answers = answers
        self._setting = setting
        self._call_seconds = call_seconds
        self._room = Room()
        self._open: dict[SpkiPin, Conversation] = {}

    def __contains__(self, server: SpkiPin) -> bool:
        """Whether a server has a call open."""
        return server in self._open

    def knock(self, server: SpkiPin, token: Token) -> bool:
        """Tell a server that a client has come; False if it has no call open, or does not listen."""
        conversation = self._open.get(server)
        if conversation is None:
            return False
        if conversation.waiting > _UNTAKEN:
            conversation.end("it does not take what is sent to it")
            return False
        return conversation.send(Knock(token).encoded)

    async def attend(self, pin: SpkiPin, coming: AsyncIterator[bytes], write: Write) -> None:
        """Talk to somebody who has called, until that ends. `pin` is that of the connection's key."""
        caller = _Caller(self, pin)
        setting = self._setting
        conversation = Conversation(setting.time, setting.draw, self._room, Turns(0), caller.heard)
        caller.conversation = conversation
        late = asyncio.get_running_loop().call_later(self._call_seconds, caller.late)
        try:
            await conversation.hold(coming, write)
        finally:
            late.cancel()
            if caller.server is not None and self._open.get(caller.server) is conversation:
                del self._open[caller.server]

    def end(self) -> None:
        """Hang up on all servers."""
        for conversation in self._open.values():
            conversation.end("this end stops")

    def admit(self, pin: SpkiPin, data: bytes, conversation: Conversation) -> SpkiPin:
        """Return who calls, from now on by this conversation. Malformed."""
        server = self._judged(pin, data)
        before = self._open.pop(server, None)
        if before is not None:
            before.end("it has called again")
        self._open[server] = conversation
        conversation.send(Granted(self._ports[server], self._answers).encoded)
        return server

    def _judged(self, pin: SpkiPin, data: bytes) -> SpkiPin:
        """Return the server that has signed this, if it did so for this relay and this connection, now."""
        signed = verified(statement.Kind.CALL, data)
        said, server = parse_call(signed), pin_of(signed.key)
        if said.relay != self._relay or said.connection != pin:
            raise Malformed("call", "signed for another relay or another connection")
        if abs(self._setting.time.now() - said.time) > times.SKEW:
            raise Malformed("call", "signed at another time than it is here: are both clocks right?")
        if server not in self._ports:
            raise Malformed(
                "call", f"not a server that this relay admits: its relay.toml has to name it in servers, {server}"
            )
        return server


class _Caller:
    """Somebody who has called, and who it is once that is known."""

    conversation: Conversation

    def __init__(self, calls: Calls, pin: SpkiPin) -> None:
        self.server: SpkiPin | None = None
        self._calls = calls
        self._pin = pin
        self._said = False

    def heard(self, data: bytes) -> None:
        """The first message says who it is; there is no second."""
        if self._said or len(data) > MAX_SAID:
            self.conversation.end("it says what a server has not to say", fault=True)
            return
        self._said = True
        try:
            self.server = self._calls.admit(self._pin, data, self.conversation)
        except Malformed as error:
            self.conversation.send(Refused(error.why).encoded)
            asyncio.get_running_loop().call_later(_READ_SECONDS, self.conversation.end, "it is refused")

    def late(self) -> None:
        """It has had time enough to say who it is."""
        if self.server is None:
            self.conversation.end("it does not say who it is")
