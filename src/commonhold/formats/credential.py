"""Credentials: what a blesser says of an account at one server. Warrants: whom the account lets act for it. Pure.

A credential is for one server only, and its account is that server's alone: two servers that compare theirs find
nothing in common. docs/spec/statement.md.
"""

from dataclasses import dataclass
from typing import Final

from commonhold.formats.blessing import validity
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_QUOTA: Final = 1 << 60


class AccountId(bytes):
    """An account at one server: 16 bytes that say nothing."""

    __slots__ = ()
    LENGTH: Final = 16

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"AccountId({self})"


@dataclass(frozen=True, slots=True)
class Credential:
    """Whoever has the key `client` may keep `quota` bytes at `server`, as `account`; times in seconds since 1970."""

    grid: GridId
    server: SpkiPin
    account: AccountId
    client: PublicKey
    quota: int
    not_before: int
    not_after: int
    serial: int

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), server=bytes(self.server), account=bytes(self.account), client=bytes(self.client),
            quota=self.quota, not_before=self.not_before, not_after=self.not_after, serial=self.serial,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Warrant:
    """Signed by a credential's client: whoever has the key `holder` may act for it at `server`, between these times."""

    grid: GridId
    server: SpkiPin
    holder: PublicKey
    not_before: int
    not_after: int

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), server=bytes(self.server), holder=bytes(self.holder),
            not_before=self.not_before, not_after=self.not_after,
        )  # fmt: skip


def parse(statement: Statement) -> Credential:
    """Return what a credential says."""
    fields = Fields(Kind.CREDENTIAL, statement.body)
    before, after = validity(fields)
    return Credential(
        fields.exactly("grid", 32, GridId),
        fields.exactly("server", 32, SpkiPin),
        fields.exactly("account", AccountId.LENGTH, AccountId),
        fields.exactly("client", LENGTH, PublicKey),
        fields.number("quota", MAX_QUOTA),
        before,
        after,
        fields.number("serial"),
    )


def parse_warrant(statement: Statement) -> Warrant:
    """Return what a warrant says."""
    fields = Fields(Kind.WARRANT, statement.body)
    before, after = validity(fields)
    return Warrant(
        fields.exactly("grid", 32, GridId),
        fields.exactly("server", 32, SpkiPin),
        fields.exactly("holder", LENGTH, PublicKey),
        before,
        after,
    )
