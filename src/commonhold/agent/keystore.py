"""The keystore: a user's named Ed25519 keys, a file each below the repository. `docs/spec/keystore.md`.

Knows where keys are and who may read them; what they sign is no matter of its own.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind
from commonhold.formats import ipns, keys
from commonhold.formats.ipns import Name
from commonhold.formats.keys import Pair, Seed
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.host import private
from commonhold.host.repository import KEYS

_SUFFIX = ".pem"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MANY = 1024


@dataclass(frozen=True, slots=True)
class Key:
    """A private key by its label. What it shows of itself is its public name."""

    label: str
    name: Name
    _seed: Seed = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message: 64 bytes."""
        return sign.sign(self._seed, message)


class Keystore:
    """The keys of one repository and one user. Changes are on disk on return, and safe against each other."""

    def __init__(self, repository: Path, owner: int) -> None:
        self._files = private.PrivateDirectory("key", repository / KEYS, owner)
        self._owner = owner

    def all(self) -> list[Key]:
        """Every key, by label. DENIED names the first that is not private."""
        return [self.get(label) for label in self._labels()]

    def get(self, label: str) -> Key:
        """A key by its label. NOT_FOUND, DENIED if others could read it, CORRUPT if it is none."""
        file = _file(label)
        with _labelled(label):
            text = self._files.read(file)
        try:
            return _key(label, keys.decode_pem(text))
        except Malformed as error:
            path = str(self._files.path / file)
            raise HoldError("key", Kind.CORRUPT, path, str(error), hint="restore it from an export") from error

    def only(self) -> Key:
        """The key that needs no saying: the one and only. USAGE if there are several."""
        found = self.all()
        if not found:
            raise HoldError("key", Kind.NOT_FOUND, "", "there is none yet", hint="hold key new NAME")
        if len(found) > 1:
            labels = ", ".join(key.label for key in found[:8])
            raise HoldError("key", Kind.USAGE, "", f"there are several: {labels}", hint=f"--key {found[0].label}")
        return found[0]

    def make(self, label: str, randomness: Callable[[int], bytes]) -> Key:
        """Make a key. EXISTS if the label is taken."""
        return self._place(label, Pair(keys.seed_of(randomness(keys.LENGTH)), None))

    def rename(self, old: str, new: str) -> Key:
        """Give a key another label; its name stays what it is."""
        self.get(old)
        with _labelled(new):
            self._files.rename(_file(old), _file(new))
        return self.get(new)

    def remove(self, label: str) -> None:
        """Take a key away for good. It need not be readable for that."""
        with _labelled(label):
            self._files.remove(_file(label))

    def export(self, label: str, target: Path) -> Key:
        """Write a key to a new file of mode 0600, as PKCS#8 PEM."""
        key = self.get(label)
        private.place("key export", target, keys.encode_pem(key._seed))
        return key

    def take(self, label: str, source: Path) -> Key:
        """Take a key in from a file: PKCS#8 PEM, or libp2p's protobuf. DENIED if others could read that too."""
        data = private.read("key import", source, self._owner)
        try:
            pair = keys.decode_pem(data) if data.lstrip().startswith(b"-----") else keys.decode_private(data)
            return self._place(label, pair)
        except Malformed as error:
            kind = Kind.UNSUPPORTED if isinstance(error, Unsupported) else Kind.INVALID
            raise HoldError("key import", kind, str(source), str(error)) from error

    def _labels(self) -> list[str]:
        stems = [name.removesuffix(_SUFFIX) for name in self._files.names() if name.endswith(_SUFFIX)]
        return [stem for stem in stems if _LABEL.fullmatch(stem)]

    def _place(self, label: str, pair: Pair) -> Key:
        key = _key(label, pair)
        if len(self._labels()) >= _MANY:
            raise HoldError("key", Kind.TOO_LARGE, label, f"there are {_MANY} keys, which is the limit")
        with _labelled(label):
            self._files.place(_file(label), keys.encode_pem(pair.seed))
        return key


def _key(label: str, pair: Pair) -> Key:
    public = sign.public_key(pair.seed)
    if pair.public not in (None, public):
        raise Malformed("private key", "its two halves do not belong together")
    return Key(label, ipns.name_of(public), pair.seed)


def _file(label: str) -> str:
    if not _LABEL.fullmatch(label):
        why = "a key's label has letters, digits, '.', '_' and '-', at most 64, and begins with a letter or digit"
        raise HoldError("key", Kind.USAGE, repr(label)[:80], why)
    return label + _SUFFIX


@contextmanager
def _labelled(label: str) -> Iterator[None]:
    try:
        yield
    except HoldError as error:
        raise _about(label, error) from error


def _about(label: str, error: HoldError) -> HoldError:
    """The same error said of a label, where the path would tell nothing."""
    if error.kind is Kind.NOT_FOUND:
        return HoldError("key", Kind.NOT_FOUND, repr(label), "there is no key of that label", hint="hold key ls")
    if error.kind is Kind.EXISTS:
        return HoldError("key", Kind.EXISTS, repr(label), "there is a key of that label", hint="hold key ls")
    return error
