"""Settling: contents that lie badly are stored again. docs/spec/volume.md, "Settling".

What lies in the tables goes to the vault; blocks and chapters of which most is not used any more are made anew; so are
chunks in many slivers. All of it is done by making contents unstored again, and a commit.
"""

import time
from collections.abc import Callable
from itertools import pairwise

from commonhold.errors import HoldError
from commonhold.volume.committing import INLINE, INLINE_ALL
from commonhold.volume.extents import Extent
from commonhold.volume.journal import Journal
from commonhold.volume.pieces import CHUNK
from commonhold.volume.tables import Tables
from commonhold.volume.vault import Sealed, Vault
from commonhold.volume.writing import Writing

MOST_CHAPTERS = 16
MERGED = 8
_AT_ONCE = 16 << 20
_SLIVERS = 32  # extents that one chunk may have which follow each other


class Settling(Writing):
    """The part of a volume that tidies up."""

    def __init__(
        self, tables: Tables, vault: Vault, clock: Callable[[], int], next_chapter: int, journal: Journal
    ) -> None:
        super().__init__(tables, vault, clock, next_chapter, journal)
        self._untended = False  # chapters could not be made anew
        self._unreadable: set[int] = set()  # blocks

    def commit(self) -> None:
        """Put all that was done so far on disk."""
        with self._committing:
            much = self._extents.inline > INLINE_ALL and self._refusal is None and self._unsettle_inline()
            self._commit(0 if much else INLINE)
            if not self._untended:
                self._tend_chapters()

    def settle(self) -> None:
        """Commit, and store anew what lies badly, as long as the vault takes it."""
        self._refusal, self._untended = None, False
        more = True
        while more and self._refusal is None:
            with self._committing:
                self._commit(0)
                more = self._unsettle_inline() or self._unsettle_thin() or self._unsettle_slivers()
                self._commit(0)
                self._tend_chapters()
                self._commit(0)
            time.sleep(0)  # so that a sync that waits has its turn
        with self._held:
            self._journal.rest()

    # ── contents ──

    def _unsettle_inline(self) -> bool:
        with self._held:
            blocks = self._extents.inlines(_AT_ONCE)
            for block in blocks:
                for number, extent in self._extents.users(block):
                    self._unsettle(number, extent, self._extents.data(block, extent.skip, extent.length))
            return bool(blocks)

    def _unsettle_thin(self) -> bool:
        with self._held:
            thin = self._extents.thin(_AT_ONCE // CHUNK + len(self._unreadable))
            blocks = {number: self._extents.block(number)[0] for number in thin if number not in self._unreadable}
        contents = self._contents(blocks)
        with self._held:
            for block, content in contents.items():
                for number, extent in self._extents.users(block):
                    self._unsettle(number, extent, content[extent.skip : extent.skip + extent.length])
        return bool(contents)

    def _unsettle_slivers(self) -> bool:
        with self._held:
            bad: list[tuple[int, int, list[Extent]]] = []
            while self._scattered and len(bad) < _AT_ONCE // CHUNK:
                number, chunk = self._scattered.pop()
                extents = self._in_chunk(number, chunk)
                if sum(one.start + one.length == two.start for one, two in pairwise(extents)) > _SLIVERS:
                    bad.append((number, chunk, extents))
            found = {extent.block: self._extents.block(extent.block) for *_, extents in bad for extent in extents}
        contents = self._contents({block: sealed for block, (sealed, inline) in found.items() if not inline})
        with self._held:
            for number, chunk, _ in bad:
                for extent in self._in_chunk(number, chunk):
                    if extent.block in contents:
                        data = contents[extent.block][extent.skip : extent.skip + extent.length]
                        self._unsettle(number, extent, data)
            return bool(bad)

    def _contents(self, blocks: dict[int, Sealed]) -> dict[int, bytes]:
        """The contents of blocks. One that cannot be read stays where it is: `verify` and whoever reads it say so."""
        found = {}
        for block, sealed in blocks.items():
            try:
                found[block] = self._opened.get(sealed)
            except HoldError:
                self._unreadable.add(block)
        return found

    def _in_chunk(self, number: int, chunk: int) -> list[Extent]:
        return self._extents.within(number, chunk * CHUNK, (chunk + 1) * CHUNK)

    def _unsettle(self, number: int, extent: Extent, data: bytes) -> None:
        """Make stored contents unstored again."""
        self._rearrange()
        self._extents.cut(number, extent.start, extent.start + extent.length)
        self._hold(number, -extent.length)
        self._unstored.write(number, extent.start, data)

    # ── chapters ──

    def _tend_chapters(self) -> None:
        """Make a new chapter of small ones, or of those of which most is gone. It is part of the next commit."""
        while True:
            with self._held:
                old = self._unkempt()
                digests = self._extents.digests(old)
            if not digests:
                return
            number = self._outbox.chapter_number()
            if not self._keep_again(number, digests):
                self._untended = True
                return
            with self._held:
                self._rearrange()
                self._extents.merge(old, number)

    def _unkempt(self) -> list[int]:
        """Chapters that had better be one."""
        chapters = [(live, total, number) for number, total, live in self._extents.chapters() if live]
        thin = [number for live, total, number in chapters if live * 2 < total]
        if thin or len(chapters) <= MOST_CHAPTERS:
            return thin
        return [number for _, _, number in sorted(chapters)[: len(chapters) - MOST_CHAPTERS + MERGED]]

    def _keep_again(self, number: int, digests: list[bytes]) -> bool:
        try:
            chapter = self._vault.begin(number)
            try:
                chapter.keep(digests)
                chapter.commit()
            finally:
                chapter.close()
        except HoldError:  # they are as well kept as before; tried again when settling
            return False
        return True
