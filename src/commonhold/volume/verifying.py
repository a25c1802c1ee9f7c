"""Verifying: what of a volume does not fit together. Reads all of the tables, and asks the vault what it keeps."""

from collections.abc import Iterator

from commonhold.volume.committing import INLINE
from commonhold.volume.settling import Settling

_DIRECTORY, _FILE = "mode & 61440 = 16384", "mode & 61440 = 32768"
_CHECKS = f"""
with named as (select number, count(*) as found from entry group by number)
select 'object ' || number || ' has ' || links || ' links, and ' || ifnull(found, 0) || ' names'
from object left join named using (number) where not {_DIRECTORY} and links <> ifnull(found, 0);

with named as (select number, count(*) as found from entry group by number),
inner as (select e.parent as number, count(*) as below from entry e join object o using (number)
  where {_DIRECTORY} group by e.parent)
select 'directory ' || number || ' has ' || links || ' links, ' || ifnull(below, 0) || ' directories, and '
  || ifnull(found, 0) || ' names' from object left join named using (number) left join inner using (number)
where {_DIRECTORY} and (ifnull(found, 0) > (number <> 1)
  or links <> iif(number = 1 or found = 1, 2 + ifnull(below, 0), 0));

with filled as (select parent as number, count(*) as found from entry group by parent)
select 'directory ' || number || ' has ' || size || ' entries, and there are ' || ifnull(found, 0)
from object left join filled using (number) where {_DIRECTORY} and size <> ifnull(found, 0);

select 'an entry of ' || e.parent || ' leads to nothing: ' || hex(name)
from entry e left join object o using (number) where o.number is null;

select 'an entry is in ' || e.parent || ', which is no directory: ' || hex(name)
from entry e left join object o on o.number = e.parent where ifnull({_DIRECTORY}, 0) = 0;

select 'directory ' || e.number || ' is in ' || e.parent || ', and says ' || o.parent
from entry e join object o using (number) where {_DIRECTORY} and o.parent <> e.parent;

with recursive below (number) as (values (1) union
  select o.number from below b join entry e on e.parent = b.number join object o on o.number = e.number
  where {_DIRECTORY})
select 'directory ' || number || ' is not below the root'
from object where {_DIRECTORY} and links > 0 and number not in below;

select 'an extended attribute is of no object ' || object || ': ' || hex(name)
from xattr left join object on number = object where number is null;

select 'an extent at ' || start || ' is of no file ' || object
from extent x left join object o on o.number = x.object where ifnull({_FILE}, 0) = 0;

select 'an extent of ' || object || ' at ' || start || ' ends after the file'
from extent x join object o on o.number = x.object where start + length > o.size;

select 'an extent of ' || object || ' at ' || start || ' lies in no block ' || x.block
from extent x left join block b on b.number = x.block
where b.number is null or x.length <= 0 or x.skip < 0 or x.skip + x.length > b.length;

select 'extents of ' || object || ' overlap at ' || start from
  (select object, start, start + length as stop,
    lead(start) over (partition by object order by start) as next from extent)
where stop > next;

with filled as (select object as number, sum(length) as found from extent group by object)
select 'object ' || number || ' has ' || held || ' bytes, and its extents ' || ifnull(found, 0)
from object left join filled using (number) where held <> ifnull(found, 0);

with used as (select block as number, sum(length) as found from extent group by block)
select 'block ' || number || ' has ' || live || ' bytes in use, and its extents ' || ifnull(found, 0)
from block left join used using (number) where live <> ifnull(found, 0) or live = 0;

select 'block ' || b.number || ' is in no chapter ' || chapter
from block b left join chapter c on c.number = b.chapter where chapter <> 0 and c.number is null;

select 'block ' || number || ' is not here' from block where chapter = 0 and ifnull(length(data), -1) <> length;

with used as (select chapter as number, sum(length) as found from block group by chapter)
select 'chapter ' || number || ' has ' || live || ' bytes in use, and its blocks ' || ifnull(found, 0)
from chapter left join used using (number) where live <> ifnull(found, 0)
"""


class Verifying(Settling):
    """The part of a volume that looks at itself."""

    def verify(self) -> Iterator[str]:
        """What does not fit together as of now, in words, after a commit. Calls wait while the tables are read."""
        with self._committing:
            self._commit(INLINE)
            with self._held:
                if self._tables.changed:  # since that commit
                    self._unused += self._extents.settle_uses()
                execute = self._tables.db.execute
                found = [said for (said,) in execute("pragma integrity_check") if said != "ok"]
                for check in _CHECKS.split(";"):
                    found += [said for (said,) in execute(check)]
                kept = {number: set(self._extents.digests([number])) for number, *_ in self._extents.chapters()}
            yield from found
            yield from self._missing(kept)

    def _missing(self, kept: dict[int, set[bytes]]) -> Iterator[str]:
        there = self._vault.chapters()
        for number, digests in kept.items():
            if number not in there:
                yield f"chapter {number} is not in the vault"
                continue
            for digest in sorted(digests - self._vault.kept(number)):
                yield f"block {digest.hex()} of chapter {number} is not in the vault"
