"""A blesser's calls, over a connection each: all addresses are tried, by the rules. docs/spec/enrolment.md.

What it says is a stranger's word; errors say whose they are.
"""

from collections.abc import Callable
from typing import Final

from commonhold.errors import HoldError
from commonhold.formats import enrolwords, hint, storagewords
from commonhold.formats.blinded import Terms
from commonhold.formats.charter import Blesser
from commonhold.formats.enrolwords import MAX_ANSWER
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind as Said
from commonhold.grids.answers import lied
from commonhold.transport import dial
from commonhold.transport.rules import Rules

_LISTS: Final = Said.REVOCATIONS.most


class Caller:
    """Calls under some rules. `randomness(n)` gives n random bytes."""

    def __init__(self, rules: Rules, randomness: Callable[[int], bytes]) -> None:
        self._rules = rules
        self._randomness = randomness

    async def enrol(self, blesser: Blesser, request: bytes) -> tuple[bytes, ...] | None:
        """Ask for what an encoded request says: encoded statements, unread, or None if it waits for a person.

        BLESSING if it is refused, UNREACHABLE if no address leads there, and whatever else the blesser says.
        """
        said = await self._call(blesser, "POST", "/v1/enrol", request, MAX_ANSWER)
        try:
            return enrolwords.decode_answer(said)
        except Malformed as error:
            raise lied(blesser.key, str(error)) from error

    async def blind(self, blesser: Blesser, request: bytes) -> tuple[Terms, tuple[bytes, ...]] | None:
        """The same for what is to be signed blindly: terms, and an answer for each blank."""
        said = await self._call(blesser, "POST", "/v1/blind", request, MAX_ANSWER)
        try:
            return enrolwords.decode_blinded(said)
        except Malformed as error:
            raise lied(blesser.key, str(error)) from error

    async def revocations(self, blesser: Blesser) -> bytes:
        """The newest revocation list, encoded and unread."""
        return await self._call(blesser, "GET", "/v1/revocations", None, _LISTS)

    async def _call(self, blesser: Blesser, method: str, path: str, body: bytes | None, limit: int) -> bytes:
        hints = [hint.parse(text) for text in blesser.addresses]
        connection = await dial.dial(blesser.pin, hints, self._rules, self._randomness)
        try:
            async with connection.request(method, path, body=body) as answer:
                said = await answer.read(limit)
                if answer.status != 200:
                    raise refusal(blesser.key, answer.status, said)
                return said
        finally:
            await connection.close()


def refusal(blesser: PublicKey, status: int, said: bytes) -> HoldError:
    """A blesser's refusal, with whose it is."""
    try:
        failure = storagewords.decode_failure(said)
    except Malformed:
        return lied(blesser, f"status {status}, and no reason")
    return HoldError("enrol", failure.kind, f"blesser {GridId(blesser)}", f"it says: {failure.why}")
