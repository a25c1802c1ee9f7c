"""What is made of a secret and a server's pin, so that two servers that compare theirs find nothing in common. Pure.

docs/spec/authority.md, "What is derived"; REQUIREMENTS B20, D18, D24.
"""

from dataclasses import dataclass, field
from typing import Final

from commonhold.crypto.derive import derive
from commonhold.crypto.hpke import Receiver
from commonhold.formats.credential import AccountId
from commonhold.formats.keys import LENGTH, Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin

_ACCOUNT: Final = b"commonhold account v1\0"
_CLIENT: Final = b"commonhold client v1\0"
_RANK: Final = b"commonhold rank v1\0"
_RECEIVING: Final = b"commonhold receiving key v1\0"


@dataclass(frozen=True, slots=True)
class Secret:
    """32 secret random bytes: a blesser's for its accounts, an account's for its keys, or a pack's for its places."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != LENGTH:
            raise Malformed("secret", f"{len(self.raw)} bytes, not {LENGTH}")


def account_number(secret: Secret, account: str, server: SpkiPin) -> AccountId:
    """Return an account's number at one server; `secret` is its blesser's. The same at every renewal."""
    return AccountId(derive(secret.raw, _ACCOUNT + account.encode() + server)[: AccountId.LENGTH])


def client_seed(secret: Secret, server: SpkiPin) -> Seed:
    """Return the key that an account has at one server; `secret` is the account's."""
    return Seed(derive(secret.raw, _CLIENT + server))


def receiver(secret: Secret, grid: GridId) -> Receiver:
    """Return the key with which an account opens what is sealed for it; `secret` is the account's. No server and no
    blesser is ever shown its public half, nor anything else that is made of it."""
    return Receiver(derive(secret.raw, _RECEIVING + grid))


def rank(secret: Secret, server: SpkiPin) -> bytes:
    """Return where a server stands among those that may keep a pack: the least first. `secret` is the pack's."""
    return derive(secret.raw, _RANK + server)
