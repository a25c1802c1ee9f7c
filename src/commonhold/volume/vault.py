"""Where a volume's contents are kept: the seam. `nodevault` is the real one."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Sealed(NamedTuple):
    """What finds and opens a sealed block: its digest, its read key; the sha2-256 and the length of its content."""

    digest: bytes
    key: bytes
    plain: bytes
    length: int


class Chapter(Protocol):
    """Blocks that are to be kept together under a number."""

    def put(self, content: bytes) -> Sealed:
        """Seal content of up to 1 MiB and store it. From any thread."""
        ...

    def keep(self, digests: Sequence[bytes]) -> None:
        """Keep blocks that an earlier chapter keeps. NOT_FOUND if one is not there."""
        ...

    def commit(self) -> None:
        """Keep all of it from now on: on disk on return. Not empty."""
        ...

    def close(self) -> None:
        """Let go of what was not committed."""
        ...


class Vault(Protocol):
    """Sealed blocks, and the chapters that keep them. Errors are HoldError. Safe from many threads."""

    def begin(self, number: int) -> Chapter:
        """Begin a chapter, which takes the place of one of that number when it is committed."""
        ...

    def chapters(self) -> set[int]:
        """The numbers of those that are kept."""
        ...

    def kept(self, number: int) -> set[bytes]:
        """The digests of a chapter's blocks."""
        ...

    def drop(self, number: int) -> None:
        """Keep a chapter no longer."""
        ...

    def read(self, block: Sealed) -> bytes:
        """A block's content, checked. NOT_FOUND."""
        ...

    def expect(self, blocks: Iterable[Sealed]) -> None:
        """Say what will be read soon."""
        ...
