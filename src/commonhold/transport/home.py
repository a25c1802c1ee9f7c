"""A server's directory, its owner's alone: its config, and the key by which it is known; one process works there.

REQUIREMENTS D3: the key is who the server is, for good. A server that is moved takes its directory along.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import pin
from commonhold.formats.keys import Seed, decode_pem, encode_pem, seed_of
from commonhold.formats.pin import SpkiPin
from commonhold.host import disk, private
from commonhold.host.locked import DirectoryLock

_KEY: Final = "server.pem"


class Sort(NamedTuple):
    """What a server is called, the name of its config, and the command that makes one."""

    called: str
    config: str
    made_by: str


@dataclass(frozen=True, slots=True)
class Home:
    """See the module."""

    path: Path
    sort: Sort

    @property
    def config(self) -> Path:
        """The file that says what it is told. NOT_FOUND where there is no server."""
        if not self._config.exists():
            raise self._missing()
        return self._config

    def make(self, config: str) -> SpkiPin:
        """Make directory, key and config, which comes last: what was broken off can be begun again. EXISTS."""
        if self._config.exists():
            why = f"there is {self.sort.called} already"
            raise HoldError("init", Kind.EXISTS, str(self._config), why, hint="choose another directory")
        with os_errors("init", str(self.path)):
            disk.make_directory(self.path, 0o700)
        directory = self._directory()
        if _KEY not in directory.names():
            directory.place(_KEY, encode_pem(seed_of(os.urandom(32))))
        private.place("init", self._config, config.encode())
        return self.pin()

    def key(self) -> Seed:
        """The server's key. NOT_FOUND where there is no server."""
        try:
            return decode_pem(self._directory().read(_KEY)).seed
        except HoldError as error:
            if error.kind is Kind.NOT_FOUND:
                raise self._missing() from error
            raise

    def pin(self) -> SpkiPin:
        """Who the server is."""
        return pin.pin_of(sign.public_key(self.key()))

    @contextlib.contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Have the directory while the block runs. BUSY while another process has it; NOT_FOUND."""
        lock = DirectoryLock(self.config.parent, command)
        try:
            yield
        finally:
            lock.release()

    @property
    def _config(self) -> Path:
        return self.path / self.sort.config

    def _directory(self) -> private.PrivateDirectory:
        return private.PrivateDirectory("open server", self.path, os.geteuid())

    def _missing(self) -> HoldError:
        why = "there is no server"
        return HoldError("open server", Kind.NOT_FOUND, str(self.path), why, hint=self.sort.made_by)
