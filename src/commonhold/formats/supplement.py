"""Supplements: what UnixFS cannot say of the objects of a snapshot, as one dag-cbor value. docs/spec/snapshot.md."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from commonhold.formats import dagcbor
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported

VERSION = 1
MAX_BYTES = 1 << 30
_MAX_NUMBER = (1 << 63) - 1

Path: TypeAlias = tuple[str, ...]


class Record(NamedTuple):
    """What there is to say of one object; None and () where it is as UnixFS has it, or as its directory is.

    `mode` is without a type where UnixFS has the object, and with one where it has not. `name` and `target` are those
    that are no UTF-8. Objects with the same `same` are one, of which the first has all else. Holes are (start, length).
    """

    name: bytes | None = None
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    device: int | None = None
    modified: int | None = None
    target: bytes | None = None
    same: int | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    holes: tuple[tuple[int, int], ...] = ()


EMPTY = Record()
_KINDS: dict[str, type] = {
    "name": bytes, "mode": int, "owner": str, "group": str,
    "device": int, "modified": int, "target": bytes, "same": int,
}  # fmt: skip


def encode(root: Cid, records: Iterable[tuple[Path, Record]]) -> bytes:
    """Return the supplement of a tree. Paths are told by what they add to the one before."""
    rows: list[Any] = []
    last: Path = ()
    for path, record in records:
        shared = _shared(last, path)
        rows.append([shared, list(path[shared:]), {key: _plain(value) for key, value in _said(record)}])
        last = path
    return dagcbor.encode({"v": VERSION, "root": root, "objects": rows})


def _said(record: Record) -> Iterator[tuple[str, Any]]:
    for key, value in zip(record._fields, record, strict=True):
        if value is not None and value != ():
            yield key, value


def _plain(value: Any) -> Any:
    return [list(pair) for pair in value] if isinstance(value, tuple) else value


def _shared(last: Path, path: Path) -> int:
    count = 0
    for one, other in zip(last, path, strict=False):
        if one != other:
            break
        count += 1
    return count


def decode(content: bytes) -> tuple[Cid, list[tuple[Path, Record]]]:
    """Return the root that it was made for, and the records in their order."""
    if len(content) > MAX_BYTES:
        raise Malformed("supplement", f"{len(content)} bytes")
    value = dagcbor.decode(content)
    if not isinstance(value, dict) or not isinstance(value.get("v"), int):
        raise Malformed("supplement", "no version")
    if value["v"] != VERSION:
        raise Unsupported("supplement", f"version {value['v']}")
    root, rows = value.get("root"), value.get("objects")
    if not isinstance(root, Cid) or not isinstance(rows, list):
        raise Malformed("supplement", "no root or no objects")
    return root, list(_records(rows))


def _records(rows: list[Any]) -> Iterator[tuple[Path, Record]]:
    path: Path = ()
    for row in rows:
        match row:
            case [int(shared), list(names), dict(said)] if 0 <= shared <= len(path):
                if not all(isinstance(name, str) for name in names):
                    raise Malformed("supplement", "a name that is no text")
                path = (*path[:shared], *names)
                yield path, _record(said)
            case _:
                raise Malformed("supplement", "an object of another form")


def _record(said: dict[str, Any]) -> Record:
    found: dict[str, Any] = {}
    for key, value in said.items():
        kind = _KINDS.get(key)
        if key == "xattrs":
            found[key] = _pairs(value, bytes)
        elif key == "holes":
            found[key] = _pairs(value, int)
        elif kind is None or not isinstance(value, kind) or isinstance(value, bool):
            raise Malformed("supplement", f"the field {key[:40]!r}")
        elif isinstance(value, int) and not -_MAX_NUMBER <= value <= _MAX_NUMBER:
            raise Malformed("supplement", f"{key} {value}")
        else:
            found[key] = value
    return Record(**found)


def _pairs(value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Malformed("supplement", "what should be pairs is none")
    return tuple(_pair(one, kind) for one in value)


def _pair(value: Any, kind: type) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(one, kind) for one in value):
        raise Malformed("supplement", "what should be a pair is none")
    if kind is int and not all(0 <= one <= _MAX_NUMBER for one in value):
        raise Malformed("supplement", "a hole that no file can have")
    return tuple(value)
