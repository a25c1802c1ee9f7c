"""A host's tender as an agent calls it: a charge is handed over, what was seen is asked, all of it is taken back.

Whose it is the tender asks the kernel. docs/spec/tender.md.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonhold.formats.charge import MAX_SEATS, MAX_SETS, Charge
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.ipc import endpoint
from commonhold.ipc.unixhttp import Client

_STATES = (None, "whole", "readable", "missing")
_SAID = 4096


@dataclass(frozen=True, slots=True)
class Looked:
    """What a tender says of one set: when it looked last and how that was then, when it looks next, and until when
    leases last. Seconds since 1970."""

    seed: bytes
    made: int
    until: int
    looked: int | None
    next: int
    state: str | None
    said: str


class Tender:
    """See the module. UNREACHABLE where there is none. Safe from many threads."""

    def __init__(self, path: Path, uid: int) -> None:
        """`uid` is the caller's. DENIED where anybody could have put the socket there."""
        self._client = Client(path, endpoint.owners(path, uid), timeout=60.0)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def keys(self, grid: GridId, servers: list[SpkiPin]) -> list[PublicKey]:
        """The keys that the tender has for us at these servers."""
        said = {"grid": grid.hex(), "servers": [one.hex() for one in servers]}

        def parse(found: Any) -> list[PublicKey]:
            keys = [PublicKey(bytes.fromhex(text)) for text in found["keys"]]
            if len(keys) != len(servers) or any(len(key) != LENGTH for key in keys):
                raise ValueError("not a key for each")
            return keys

        assert len(servers) <= MAX_SEATS
        return self._client.json("POST", "/v1/keys", said, parse)

    def put(self, charge: Charge) -> None:
        """Hand a charge over, in place of the one before."""
        self._client.read(self._client.call("PUT", "/v1/charge", charge.encoded))

    def here(self, grid: GridId) -> tuple[bytes | None, list[Looked]]:
        """Say that we look after a grid ourselves now: the digest of the charge there is, and what was seen by it."""

        def parse(found: Any) -> tuple[bytes | None, list[Looked]]:
            digest = found["charge"]
            return None if digest is None else bytes.fromhex(digest), [_looked(one) for one in found["seen"][:MAX_SETS]]

        return self._client.json("POST", "/v1/here", {"grid": grid.hex()}, parse)

    def drop(self, grid: GridId) -> None:
        """Take a charge back."""
        self._client.json("POST", "/v1/forget", {"grid": grid.hex()})

    def grids(self) -> list[GridId]:
        """The grids that it has a charge of ours for."""

        def parse(found: Any) -> list[GridId]:
            return [GridId(bytes.fromhex(text)) for text in found["grids"]]

        return self._client.json("GET", "/v1/charges", None, parse)


def digest(charge: Charge) -> bytes:
    """What `here` gives for a charge."""
    return hashlib.sha256(charge.encoded).digest()


def _looked(found: Any) -> Looked:
    looked, state, said = found["looked"], found["state"], found["said"]
    numbers = [found["made"], found["until"], found["next"], *([] if looked is None else [looked])]
    if not all(type(one) is int and 0 <= one <= MAX_NUMBER for one in numbers) or state not in _STATES:
        raise ValueError("a look that cannot be")
    if not isinstance(said, str) or len(said) > _SAID:
        raise ValueError("a text that cannot be")
    return Looked(bytes.fromhex(found["seed"]), found["made"], found["until"], looked, found["next"], state, said)
