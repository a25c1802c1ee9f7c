"""A blesser's directory, its owner's alone: the keys that never leave it, a config, a book. docs/spec/enrolment.md."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.authority.derived import Secret
from commonhold.blesser.book import Book
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.keys import LENGTH, PublicKey, Seed, decode_pem, encode_pem, seed_of
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.host import disk, private
from commonhold.host.locked import DirectoryLock

CONFIG: Final = "blesser.toml"
_KEY: Final = "blesser.pem"
_SERVER: Final = "blesser-server.pem"
_SECRET: Final = "accounts.key"
_BOOK: Final = "blesser.sqlite"


@dataclass(frozen=True, slots=True)
class Keys:
    """The key that blesses; the one by which the server that speaks for it is known, which signs nothing; and what
    account numbers are made of."""

    blesser: Seed
    server: Seed
    accounts: Secret

    @property
    def public(self) -> PublicKey:
        """Whose word it is."""
        return sign.public_key(self.blesser)

    @property
    def pin(self) -> SpkiPin:
        """Who the server is."""
        return pin_of(sign.public_key(self.server))


def is_home(path: Path) -> bool:
    """Whether a directory is a blesser's."""
    return (path / CONFIG).exists()


def create(
    path: Path, accounts: Secret | None, config: Callable[[Keys], str], randomness: Callable[[int], bytes]
) -> Keys:
    """Make a blesser's home: the config comes last, so that what was broken off can be begun again. EXISTS.

    `accounts`: another blesser's secret, where both have to give an account one number.
    """
    if is_home(path):
        raise HoldError("create grid", Kind.EXISTS, str(path), "there is a blesser already", hint="hold grid show")
    with os_errors("create grid", str(path)):
        disk.make_directory(path.parent, 0o700)
        disk.make_directory(path, 0o700)
    directory = _directory(path)
    drawn = {
        _KEY: encode_pem(seed_of(randomness(LENGTH))),
        _SERVER: encode_pem(seed_of(randomness(LENGTH))),
        _SECRET: (accounts.raw if accounts else randomness(LENGTH)).hex().encode() + b"\n",
    }
    for name, data in drawn.items():
        if name not in directory.names():
            directory.place(name, data)
    found = keys(path)
    private.place("create grid", path / CONFIG, config(found).encode())
    return found


def keys(path: Path) -> Keys:
    """The keys of a home. DENIED where others could have read them."""
    directory = _directory(path)
    seeds = [decode_pem(directory.read(name)).seed for name in (_KEY, _SERVER)]
    return Keys(seeds[0], seeds[1], secret(directory.read(_SECRET)))


def secret(text: bytes) -> Secret:
    """The secret that a file has. Malformed."""
    try:
        return Secret(bytes.fromhex(text.decode()))
    except ValueError as error:
        raise Malformed("accounts' secret", f"not {LENGTH} bytes in hexadecimal") from error


@contextlib.contextmanager
def opened(path: Path, command: str) -> Iterator[Book]:
    """The book of a home, while no other process has it. BUSY; NOT_FOUND where there is no blesser."""
    if not is_home(path):
        raise HoldError("open grid", Kind.NOT_FOUND, str(path), "there is no blesser", hint="hold grid create NAME")
    lock = DirectoryLock(path, command)
    try:
        with contextlib.closing(Book(path / _BOOK)) as book:
            yield book
    finally:
        lock.release()


def _directory(path: Path) -> private.PrivateDirectory:
    return private.PrivateDirectory("open grid", path, os.geteuid())
