"""Publishing and resolving: `calls.Naming` over an open repository and a keystore."""

import time

from commonhold.agent import names
from commonhold.agent.blocks import parse_path
from commonhold.agent.keyring import LocalKeyring, shown
from commonhold.agent.opened import Opened
from commonhold.calls import Pointing, Published
from commonhold.errors import HoldError
from commonhold.formats import ipns


class LocalNaming:
    """See `calls.Naming`."""

    def __init__(self, opened: Opened, keyring: LocalKeyring) -> None:
        self._opened = opened
        self._keys = keyring.keystore

    def publish(self, path: str, key: str | None, lifetime: int | None, ttl: int | None) -> Published:
        """See `calls.Naming`."""
        chosen = self._keys.get(key) if key else self._keys.only()
        value = names.normal(path)
        absent = self._absent(value)
        record = self._opened.names.publish(chosen, value, time.time_ns(), lifetime or names.LIFETIME, ttl or names.TTL)
        return Published(shown(chosen), value, record.claims.sequence, record.validity, absent)

    def _absent(self, path: str) -> str | None:
        """Why what is published cannot be read here: it may be elsewhere, or a slip of the pen."""
        blocks = self._opened.blocks
        try:
            blocks.block(blocks.resolve(*parse_path(path)))
        except HoldError as error:
            return error.why
        return None

    def all(self) -> list[Pointing]:
        """See `calls.Naming`."""
        labels = {key.name: key.label for key in self._keys.all()}
        now = time.time_ns()
        return [
            Pointing(
                str(name),
                labels.get(name),
                record.claims.value.decode("utf-8", "backslashreplace"),
                record.claims.sequence,
                record.validity,
                record.claims.eol <= now,
            )
            for name, record in self._opened.names.own()
        ]

    def remove(self, name: str) -> None:
        """See `calls.Naming`."""
        self._opened.names.remove(ipns.name_of_cid(parse_path(name)[0]))

    def resolve(self, name: str) -> tuple[str, str]:
        """See `calls.Naming`."""
        cid, path = parse_path(name)
        wanted = ipns.name_of_cid(cid)
        found, below = self._opened.names.resolve(wanted, path, time.time_ns())
        return str(wanted), "/".join((f"/ipfs/{found}", *below))

    def record(self, name: str) -> bytes:
        """See `calls.Naming`."""
        return self._opened.names.best(ipns.name_of_cid(parse_path(name)[0])).raw
