"""Chapters of blocks in a dict, nothing sealed: `vault.Vault` for tests of the volume. `step` may fail."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence

from commonhold.errors import HoldError, Kind
from commonhold.volume.vault import Sealed


class MemoryVault:
    """A vault that outlives the volumes that use it. `step` is called before each thing it does, with its name."""

    def __init__(self) -> None:
        self.kept_chapters: dict[int, dict[bytes, bytes]] = {}
        self.step: Callable[[str], None] = lambda name: None
        self.reads = 0
        self.turn = threading.Lock()

    def begin(self, number: int) -> "MemoryChapter":
        self.step("begin")
        return MemoryChapter(self, number)

    def chapters(self) -> set[int]:
        self.step("chapters")
        return set(self.kept_chapters)

    def kept(self, number: int) -> set[bytes]:
        return set(self.kept_chapters[number])

    def drop(self, number: int) -> None:
        self.step("drop")
        if number not in self.kept_chapters:
            raise HoldError("drop", Kind.NOT_FOUND, str(number), "no such chapter")
        del self.kept_chapters[number]

    def find(self, digest: bytes) -> bytes:
        with self.turn:
            for blocks in self.kept_chapters.values():
                if digest in blocks:
                    return blocks[digest]
        raise HoldError("get", Kind.NOT_FOUND, digest.hex(), "not in this vault")

    def read(self, block: Sealed) -> bytes:
        self.step("read")
        self.reads += 1
        content = self.find(block.digest)
        assert (hashlib.sha256(content).digest(), len(content)) == (block.plain, block.length)
        return content

    def expect(self, blocks: Iterable[Sealed]) -> None: ...


class MemoryChapter:
    def __init__(self, vault: MemoryVault, number: int) -> None:
        self._vault = vault
        self._number = number
        self._blocks: dict[bytes, bytes] = {}

    def put(self, content: bytes) -> Sealed:
        self._vault.step("put")
        assert 0 < len(content) <= 1 << 20
        plain = hashlib.sha256(content).digest()
        digest = hashlib.sha256(b"sealed" + plain).digest()
        with self._vault.turn:
            self._blocks[digest] = content
        return Sealed(digest, plain, plain, len(content))

    def keep(self, digests: Sequence[bytes]) -> None:
        self._vault.step("keep")
        for digest in digests:
            self._blocks[digest] = self._vault.find(digest)

    def commit(self) -> None:
        self._vault.step("commit")
        assert self._blocks
        with self._vault.turn:
            self._vault.kept_chapters[self._number] = dict(self._blocks)

    def close(self) -> None:
        self._blocks = {}
