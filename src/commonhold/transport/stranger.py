"""A server found by an address alone: its key is what it is, and proves nothing until it has shown what it knows.

All that can be done with it is to ask, as a meeting by a short code does. docs/spec/enrolment.md.
"""

from commonhold.formats.pin import SpkiPin
from commonhold.transport.connection import Connection


class Stranger:
    """See the module. `dial_unknown` makes it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def pin(self) -> SpkiPin:
        """The pin of the key that it has proved."""
        return self._connection.server

    @property
    def own(self) -> SpkiPin:
        """The pin of this end's key."""
        return self._connection.own

    async def ask(self, path: str, body: bytes, limit: int) -> tuple[int, bytes]:
        """Say something; HTTP's number, and an answer of up to `limit` bytes. UNREACHABLE if the connection breaks."""
        async with self._connection.request("POST", path, body=body) as answer:
            return answer.status, await answer.read(limit)

    async def close(self) -> None:
        """End it."""
        await self._connection.close()
