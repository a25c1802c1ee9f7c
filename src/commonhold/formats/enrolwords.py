"""What a blesser and those who ask it say to each other, as bytes. Pure. docs/spec/enrolment.md.

Both ends are strangers to each other: what either decodes has limits, and is Malformed beyond them. A refusal is a
`storagewords.Failure`.
"""

from collections.abc import Sequence
from typing import Final

from commonhold.formats import blinded
from commonhold.formats.blinded import Modulus, Terms
from commonhold.formats.fields import Fields, made
from commonhold.formats.invitation import MAX_BYTES
from commonhold.formats.request import MAX_SEATS
from commonhold.formats.shortcode import MAX_PLATE
from commonhold.formats.statement import Kind

MAX_REQUEST: Final = Kind.REQUEST.most
MAX_ANSWER: Final = 1 << 20
MESSAGE: Final = 33  # bytes of SPAKE2's message
PROOF: Final = 32
_TAG: Final = 16
_TERMS: Final = 64


def granted(statements: Sequence[bytes]) -> bytes:
    """The answer to a request: what was signed."""
    return made(statements=list(statements))


def waits() -> bytes:
    """The answer to a request that a person has to decide on. It does not say why."""
    return made(waits=1)


def decode_answer(data: bytes) -> tuple[bytes, ...] | None:
    """Return the statements, encoded and unread; None if it waits."""
    fields = Fields("answer", data)
    if fields.has("waits"):
        return None
    return fields.several("statements", MAX_SEATS, Kind.CREDENTIAL.most)


def blinded_answer(terms: Terms, answers: Sequence[bytes]) -> bytes:
    """The answer to a blind request: the account's terms, and what was signed, in the order in which it was asked."""
    return made(terms=terms.encoded, answers=list(answers))


def decode_blinded(data: bytes) -> tuple[Terms, tuple[bytes, ...]] | None:
    """Return terms and answers; None if it waits."""
    fields = Fields("answer", data)
    if fields.has("waits"):
        return None
    terms = blinded.parse_terms(fields.raw("terms", _TERMS))
    return terms, fields.several("answers", blinded.MAX_SEATS, Modulus.LENGTH)


def opening(plate: int, message: bytes) -> bytes:
    """Whoever has a short code asks for what it stands for."""
    return made(plate=plate, message=message)


def decode_opening(data: bytes) -> tuple[int, bytes]:
    fields = Fields("opening", data)
    return fields.number("plate", MAX_PLATE), fields.exactly("message", MESSAGE, bytes)


def reply(message: bytes) -> bytes:
    """The other half."""
    return made(message=message)


def decode_reply(data: bytes) -> bytes:
    return Fields("reply", data).exactly("message", MESSAGE, bytes)


def proof(plate: int, proof: bytes) -> bytes:
    """The joiner shows first that it has the words."""
    return made(plate=plate, proof=proof)


def decode_proof(data: bytes) -> tuple[int, bytes]:
    fields = Fields("proof", data)
    return fields.number("plate", MAX_PLATE), fields.exactly("proof", PROOF, bytes)


def sealed(data: bytes) -> bytes:
    """The invitation, under the key that both ends have."""
    return made(sealed=data)


def decode_sealed(data: bytes) -> bytes:
    return Fields("sealed", data).raw("sealed", MAX_BYTES + _TAG)
