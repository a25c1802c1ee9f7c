"""Settling: contents that lie badly are stored again. docs/spec/volume.md, "Settling".

What lies in the tables goes to the vault; blocks and chapters of which most is not used any more are made anew; so are
chunks in many slivers. All of it is done by making contents unstored again, and a commit.
"""

from commonhold.errors import HoldError
from commonhold.volume.committing import INLINE_ALL
from commonhold.volume.extents import Extent
from commonhold.volume.faults import from_hold
from commonhold.volume.pieces import CHUNK
from commonhold.volume.vault import Sealed
from commonhold.volume.writing import Writing

MOST_CHAPTERS = 16
MERGED = 8
_AT_ONCE = 16 << 20
_SLIVERS = 32  # extents that one chunk may be in


class Settling(Writing):
    """The part of a volume that tidies up."""

    def commit(self) -> None:
        """Put all that was done so far on disk."""
        with self._committing:
            if self._extents.inline > INLINE_ALL:
                self.settle()
            else:
                super().commit()
                self._tend_chapters()

    def settle(self) -> None:
        """Commit, and store anew what lies badly."""
        with self._committing:
            self._commit(0)
            if self._refusal is not None:
                return
            while self._unsettle_inline() or self._unsettle_thin() or self._unsettle_slivers():
                self._commit(0)
                if self._refusal is not None:
                    return
                self._tend_chapters()
            self._commit(0)

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
            numbers = self._extents.thin(_AT_ONCE // CHUNK)
            blocks = [(number, self._extents.block(number)[0]) for number in numbers]
        for number, sealed in blocks:
            content = self._read_block(sealed)
            with self._held:
                for user, extent in self._extents.users(number):
                    self._unsettle(user, extent, content[extent.skip : extent.skip + extent.length])
        return bool(blocks)

    def _unsettle_slivers(self) -> bool:
        with self._held:
            bad: list[tuple[int, int, list[Extent]]] = []
            while self._scattered and len(bad) < _AT_ONCE // CHUNK:
                number, chunk = self._scattered.pop()
                extents = self._in_chunk(number, chunk)
                if len(extents) > _SLIVERS:
                    bad.append((number, chunk, extents))
            blocks = {extent.block: self._extents.block(extent.block) for *_, extents in bad for extent in extents}
        contents = {block: self._read_block(sealed) for block, (sealed, inline) in blocks.items() if not inline}
        with self._held:
            for number, chunk, _ in bad:
                for extent in self._in_chunk(number, chunk):
                    if extent.block in contents:
                        data = contents[extent.block][extent.skip : extent.skip + extent.length]
                        self._unsettle(number, extent, data)
            return bool(bad)

    def _in_chunk(self, number: int, chunk: int) -> list[Extent]:
        return self._extents.within(number, chunk * CHUNK, (chunk + 1) * CHUNK)

    def _unsettle(self, number: int, extent: Extent, data: bytes) -> None:
        """Make stored contents unstored again."""
        self._now()
        self._extents.cut(number, extent.start, extent.start + extent.length)
        self._hold(number, -extent.length)
        self._unstored.write(number, extent.start, data)

    def _read_block(self, sealed: Sealed) -> bytes:
        try:
            return self._opened.get(sealed)
        except HoldError as error:
            raise from_hold(error) from error

    # ── chapters ──

    def _tend_chapters(self) -> None:
        """Make a new chapter of small ones, or of those of which most is gone. It is part of the next commit."""
        while True:
            with self._held:
                old = self._unkempt()
                digests = self._extents.digests(old)
            number = self._outbox.chapter_number()
            if not digests or not self._keep_again(number, digests):
                return
            with self._held:
                self._now()
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
        except HoldError:  # it is as well kept as before, and tried again after the next commit
            return False
        return True
