"""A user's keys, by their labels and public names: `calls.Keyring` over a keystore."""

import os
from pathlib import Path

from commonhold.agent.keystore import Key, Keystore
from commonhold.calls import KeyName, OsPath


class LocalKeyring:
    """See `calls.Keyring`. Needs no lock: each change is whole."""

    def __init__(self, keystore: Keystore) -> None:
        self.keystore = keystore

    def all(self) -> list[KeyName]:
        """See `calls.Keyring`."""
        return [shown(key) for key in self.keystore.all()]

    def make(self, label: str) -> KeyName:
        """See `calls.Keyring`."""
        return shown(self.keystore.make(label, os.urandom))

    def rename(self, old: str, new: str) -> KeyName:
        """See `calls.Keyring`."""
        return shown(self.keystore.rename(old, new))

    def remove(self, label: str) -> None:
        """See `calls.Keyring`."""
        self.keystore.remove(label)

    def export(self, label: str, target: OsPath) -> KeyName:
        """See `calls.Keyring`."""
        return shown(self.keystore.export(label, Path(target)))

    def take(self, label: str, source: OsPath) -> KeyName:
        """See `calls.Keyring`."""
        return shown(self.keystore.take(label, Path(source)))


def shown(key: Key) -> KeyName:
    """What a key shows of itself."""
    return KeyName(key.label, str(key.name))
