"""Tokens of blinded accounts: how one is made so that its blesser does not see it, and how one stands at a door. Pure.

docs/spec/blinded.md; REQUIREMENTS D18, D19, B26.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

from commonhold.authority.derived import Secret, blinded_seed
from commonhold.authority.judging import Ground, Reason, Seen, judge_said
from commonhold.crypto import blind, sign
from commonhold.crypto.blind import Blinding
from commonhold.crypto.derive import Deriver
from commonhold.formats import blinded
from commonhold.formats.blinded import Blank, Mint, MintId, Token
from commonhold.formats.credential import AccountId, Credential
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin

_ACCOUNT: Final = b"commonhold blinded account v1\0"
_BLINDING: Final = b"commonhold blinding v1\0"
_MOMENT: Final = b"commonhold blinded moment v1\0"
_ASKING: Final = b"commonhold blinded asking v1\0"
_SCALE: Final = 1 << 64
_HASH: Final = 32
REST_SECONDS: Final = 900  # up to which a token rests before it is used first


# ── at a door ──


def account_of(grid: GridId, client: PublicKey) -> AccountId:
    """Return the account that a blinded client has at its server: the same in each period, as its key is."""
    return AccountId(hashlib.sha256(_ACCOUNT + grid + client).digest()[: AccountId.LENGTH])


def claimed(token: Token, mint: Mint | None) -> Credential:
    """Return what a token says, as a credential would; it is worth nothing by a key that there is not."""
    account = account_of(token.grid, token.client)
    quota, begins, ends, serial = (mint.quota, mint.not_before, mint.not_after, mint.serial) if mint else (0, 0, 0, 0)
    return Credential(token.grid, token.server, account, token.client, quota, begins, ends, serial)


def judge_token(ground: Ground, token: Token, mint: Mint | None) -> Seen:
    """Return how a token stands; `mint` is what the newest list has under the name that it gives."""
    claim = claimed(token, mint)
    named = ground.grid == token.grid and ground.server == token.server and token.blesser in ground.rule.blessers
    if mint is None and named:
        why = "its blesser's list has no such key: the period is over, the key was withdrawn, or the list is an old one"
        return Seen(Reason.NO_MINT, why, token.blesser)
    genuine = partial(blind.verify, mint.modulus if mint else b"", token.prepared, token.signature)
    return judge_said(ground, token.blesser, claim, genuine, ground.rule.classes)


# ── a client's ──


class Wallet:
    """What an account makes of its secret for one mint: blanks, and tokens of the answers. `secret` is the account's.

    Nothing of it is drawn: whoever lost an answer, or all that they kept, makes the same blank again, which costs
    nothing. Nobody without the secret can tell a blank from random bytes.
    """

    def __init__(self, secret: Secret, grid: GridId, blesser: PublicKey, name: MintId, mint: Mint) -> None:
        self.name = name
        self.mint = mint
        self._secret = secret
        self._grid = grid
        self._blesser = blesser
        self._derived = Deriver(secret.raw)

    def blank(self, server: SpkiPin) -> Blank:
        """Return what to ask for at one server."""
        return Blank(self._blinding(server)[1].blank)

    def token(self, server: SpkiPin, answer: bytes) -> Token:
        """Return the token of an answer. Malformed for what is none."""
        prefix, blinding = self._blinding(server)
        signature = blind.finish(self.mint.modulus, blinding, answer)
        return Token(self._grid, server, self._client(server), self._blesser, self.name, prefix, signature)

    def rests(self, server: SpkiPin) -> int:
        """For how many seconds a token rests, so that who asked and who came cannot be told to be one by the clock."""
        return int(self._part(_MOMENT + self.name + server) * REST_SECONDS)

    def asks_at(self) -> int:
        """Return when to ask for tokens of this period, before it begins: at this account's own moment of the last
        two fifths of the one before."""
        length = self.mint.not_after - self.mint.not_before
        return self.mint.not_before - int(length * (0.05 + 0.35 * self._part(_ASKING + self.name)))

    def _client(self, server: SpkiPin) -> PublicKey:
        return sign.public_key(blinded_seed(self._secret, server))

    def _blinding(self, server: SpkiPin) -> tuple[bytes, Blinding]:
        draw = _drawing(self._derived, _BLINDING + self.name + server)
        prefix = draw(Token.PREFIX)
        prepared = blinded.prepared(prefix, self._grid, server, self._client(server), self.name)
        return prefix, blind.blind(self.mint.modulus, prepared, draw)

    def _part(self, message: bytes) -> float:
        """From 0 up to but not including 1."""
        return int.from_bytes(self._derived.derive(message)[:8]) / _SCALE


def _drawing(derived: Deriver, message: bytes) -> Callable[[int], bytes]:
    """Return a source of bytes that nobody without the key can tell from random ones."""
    taken = 0

    def draw(length: int) -> bytes:
        nonlocal taken
        parts = -(-length // _HASH)
        found = b"".join(derived.derive(message + (taken + part).to_bytes(4)) for part in range(parts))
        taken += parts
        return found[:length]

    return draw
