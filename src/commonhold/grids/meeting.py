"""Meeting a blesser by a short code: who has the words gets what they stand for. docs/spec/enrolment.md.

Its key is not known yet, so this is the one place that dials a stranger. What it gives is believed because it has the
words, and the connection's two keys went into what was computed of them.
"""

from collections.abc import Callable
from typing import Final

from commonhold.crypto.pake import Ends, Exchange, Side
from commonhold.errors import HoldError, Kind
from commonhold.formats import enrolwords, invitation, storagewords
from commonhold.formats.invitation import MAX_BYTES, Invitation
from commonhold.formats.malformed import Malformed
from commonhold.formats.shortcode import ShortCode
from commonhold.transport import dial
from commonhold.transport.rules import Rules
from commonhold.transport.stranger import Stranger

_LIMIT: Final = MAX_BYTES + 4096
_AGAIN: Final = "ask for another code"


async def meet(code: ShortCode, rules: Rules, randomness: Callable[[int], bytes]) -> Invitation:
    """Return what a short code stands for. DENIED if its words are others there: it is burnt. There is one try."""
    stranger = await dial.dial_unknown(code.where, rules, randomness)
    try:
        return await _meet(code, stranger, randomness)
    finally:
        await stranger.close()


async def _meet(code: ShortCode, stranger: Stranger, randomness: Callable[[int], bytes]) -> Invitation:
    exchange = Exchange(Side.JOINER, code.password, Ends(stranger.own, stranger.pin), randomness)
    try:
        said = await _ask(stranger, "/v1/meet", enrolwords.opening(code.plate, exchange.message))
        shared = exchange.finish(enrolwords.decode_reply(said))
        said = await _ask(stranger, "/v1/meet/proof", enrolwords.proof(code.plate, shared.proof))
        found = invitation.decode(shared.unseal(enrolwords.decode_sealed(said)))
    except Malformed as error:
        why = f"who answers there has not the words of the code: {error}"
        raise HoldError("join", Kind.DENIED, str(code.where), why, hint=_AGAIN) from error
    mine = found.charter.blesser(found.by)
    if mine.pin != stranger.pin:
        why = "the invitation is of another server than the one that gave it"
        raise HoldError("join", Kind.DENIED, str(code.where), why, hint=_AGAIN)
    return found


async def _ask(stranger: Stranger, path: str, body: bytes) -> bytes:
    status, said = await stranger.ask(path, body, _LIMIT)
    if status == 200:
        return said
    try:
        failure = storagewords.decode_failure(said)
    except Malformed as error:
        raise HoldError("join", Kind.INVALID, "server", f"no blesser answers there: status {status}") from error
    raise HoldError("join", failure.kind, "code", f"the blesser says: {failure.why}", hint=_AGAIN)
