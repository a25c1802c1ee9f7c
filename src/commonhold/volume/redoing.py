"""Doing again what the journal has, at opening: in its order, by the same calls, at the same times, with the same
numbers. docs/spec/volume.md, "Journal".
"""

import sqlite3

from commonhold.errors import HoldError, from_any
from commonhold.formats.journal import Group, Record
from commonhold.formats.malformed import Malformed
from commonhold.host.saying import say
from commonhold.volume.journal import Did, given
from commonhold.volume.realms import Realms
from commonhold.volume.tables import translated


class Broken(Exception):
    """Half of a record was done. The journal ends before it now; what is in memory is worth nothing."""


class Redoing(Realms):
    """The part of a volume that does again what a process did that died."""

    def _redo(self, chapters: set[int]) -> None:
        """Do again what the journal has, as far as it can have been done. `chapters` are those of the vault."""
        for group in self._journal.groups():
            try:
                for record in group.records:
                    self._redo_one(record, chapters)
            except Exception as error:  # noqa: BLE001  whatever the journal has, the volume is opened
                self._stop_before(group, self._held.lost or error)
                break
            finally:
                self._again = None
            self._journal.keep(group)
        self._tables.number_anew()

    def _redo_one(self, record: Record, chapters: set[int]) -> None:
        did, args = given(record)
        if did is Did.END:
            return
        if not self._tables.may_number_from(record.next):
            raise Malformed("journal", f"{record.next} is no number to go on from")
        if did is Did.TAKE_IN and args[0] not in chapters:
            raise Malformed("journal", f"the vault has no chapter {args[0]}")
        self._again = record
        if did is Did.WRITE:
            number, offset, kill, late = args
            self.write(number, offset, memoryview(record.payload), kill, late)
        else:
            getattr(self, did.name.lower())(*args)

    def _stop_before(self, group: Group, why: BaseException) -> None:
        """What a group says cannot have been done; unless it is the tables that fail us."""
        path = str(self._tables.path)
        if isinstance(why, sqlite3.Error) and not isinstance(why, sqlite3.IntegrityError):
            raise translated("open", path, why) from why
        if isinstance(why, (HoldError, MemoryError)):
            raise from_any("open", why) from why
        self._journal.cut()
        say("hold", f"{path}: its journal ends before what cannot have been done: {why}")
        if self._held.lost is not None or len(group.records) > 1:
            raise Broken from why
