"""Taking stored blocks in as contents of files, without reading them; and doing several things as one."""

import contextlib
from collections.abc import Iterator, Sequence

from commonhold.errors import HoldError
from commonhold.volume.extents import Adoption, Extent
from commonhold.volume.faults import from_hold
from commonhold.volume.journal import Did
from commonhold.volume.verifying import Verifying


class Adopting(Verifying):
    """The part of a volume that takes blocks in."""

    def adopt(self, adoptions: Sequence[Adoption]) -> None:
        """Have stored blocks be contents. None is longer than a chunk. EIO for what is not there."""
        number = self._outbox.chapter_number()
        try:
            chapter = self._vault.begin(number)
            try:
                chapter.keep([one.block.digest for one in adoptions])
                chapter.commit()
            finally:
                chapter.close()
        except HoldError as error:
            raise from_hold(error) from error
        try:
            self.take_in(number, adoptions)
        except OSError:
            self._leaving.append(number)
            raise

    def take_in(self, number: int, adoptions: Sequence[Adoption]) -> None:
        """Have the blocks of a chapter that the vault has be contents."""
        with self._held:
            for one in adoptions:
                self._file(one.number)
            now = self._now(Did.TAKE_IN, number, adoptions)
            self._extents.add_chapter(number, sum(one.block.length for one in adoptions))
            for file, start, sealed in adoptions:
                row = self._file(file)
                block = self._extents.add_block(sealed, number)
                self._extents.insert(file, Extent(start, sealed.length, block, 0))
                size = max(row.size, start + sealed.length)
                self._tables.save(row._replace(held=row.held + sealed.length, size=size, modified=now, changed=now))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Run a block of which no commit has a part only, nor a process that dies within. Other calls wait for it."""
        with self._committing, self._held.freed, self._journal.together():
            yield
