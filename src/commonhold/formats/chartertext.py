"""Charters as people read and change them: tables of TOML, with keys as their texts. Pure. docs/spec/membership.md.

Whoever reads a file hands over its table; what is wrong there is Malformed, which names the field.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from commonhold.formats import pin
from commonhold.formats.blessing import Purpose, word
from commonhold.formats.charter import Blesser, Charter, Introducer, Quorum
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId

TABLES: Final = frozenset(("grid", "blessers", "purposes", "accounts", "introducers"))
_T = TypeVar("_T")
Value: TypeAlias = str | int | bool | list[str]


def text(charter: Charter) -> str:
    """Return a charter as TOML. Its name is not in it: that is the directory's."""
    parts = [f"grid = {value(str(charter.grid))}"]
    for one in charter.blessers:
        rows: dict[str, Value] = {"key": str(GridId(one.key)), "pin": str(one.pin), "addresses": list(one.addresses)}
        parts.append(_table("[[blessers]]", rows))
    for purpose, quorum in charter.purposes:
        parts.append(_table(f"[purposes.{value(str(purpose))}]", _rows(quorum)))
    parts.append(_table("[accounts]", _rows(charter.accounts)))
    for other in charter.introducers:
        parts.append(_table("[[introducers]]", {"pin": str(other.pin), "addresses": list(other.addresses)}))
    return "\n\n".join(parts) + "\n"


def value(of: Value) -> str:
    """Return a value as TOML has it, which is what JSON has for these types."""
    return json.dumps(of, ensure_ascii=False)


def parse(name: str, table: Mapping[str, Any]) -> Charter:
    """Return the charter in a table, which may have other fields beside."""
    return Charter(
        _text("grid", table.get("grid"), pin.parse_grid),
        name,
        tuple(_blesser(one) for one in _tables(table, "blessers")),
        tuple((_purpose(key), _quorum(f"purposes.{key}", one)) for key, one in _map(table, "purposes").items()),
        _quorum("accounts", _map(table, "accounts")),
        tuple(_introducer(one) for one in _tables(table, "introducers")),
    )


def only(what: str, table: Mapping[str, Any], names: Iterable[str]) -> None:
    """Malformed for a field that there is not."""
    for name in table:
        if name not in names:
            raise Malformed(f"{what}.{name}" if what else name, "no such field")


def _rows(quorum: Quorum) -> dict[str, Value]:
    keys = [str(GridId(key)) for key in quorum.blessers]
    return {"blessers": keys, "needed": quorum.needed, "classes": list(quorum.classes), "fresh": quorum.fresh}


def _table(head: str, rows: Mapping[str, Value]) -> str:
    return "\n".join([head, *(f"{name} = {value(row)}" for name, row in rows.items())])


def _purpose(text: str) -> Purpose:
    return Purpose(word("purpose", text))


def _blesser(table: Mapping[str, Any]) -> Blesser:
    only("blessers", table, ("key", "pin", "addresses"))
    return Blesser(
        _text("blessers.key", table.get("key"), _key),
        _text("blessers.pin", table.get("pin"), pin.parse_pin),
        _texts("blessers.addresses", table.get("addresses", []), str),
    )


def _introducer(table: Mapping[str, Any]) -> Introducer:
    only("introducers", table, ("pin", "addresses"))
    return Introducer(
        _text("introducers.pin", table.get("pin"), pin.parse_pin),
        _texts("introducers.addresses", table.get("addresses", []), str),
    )


def _quorum(what: str, table: Any) -> Quorum:
    if not isinstance(table, dict):
        raise Malformed(what, "no table")
    only(what, table, ("blessers", "needed", "classes", "fresh"))
    needed, fresh = table.get("needed", 1), table.get("fresh", True)
    if type(needed) is not int or type(fresh) is not bool:
        raise Malformed(what, "needed is no number, or fresh neither true nor false")
    return Quorum(
        _texts(f"{what}.blessers", table.get("blessers", []), _key),
        needed,
        _texts(f"{what}.classes", table.get("classes", []), str),
        fresh,
    )


def _key(text: str) -> PublicKey:
    return pin.parse_grid(text).blesser


def _map(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    if not isinstance(found, dict):
        raise Malformed(name, "no table")
    return found


def _tables(table: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Malformed(name, "no list of tables")
    return found


def _texts(what: str, found: Any, read: Callable[[str], _T]) -> tuple[_T, ...]:
    if not isinstance(found, list):
        raise Malformed(what, "no list")
    return tuple(_text(what, one, read) for one in found)


def _text(what: str, found: Any, read: Callable[[str], _T]) -> _T:
    if not isinstance(found, str):
        raise Malformed(what, "no text")
    try:
        return read(found)
    except Malformed as error:
        raise Malformed(what, str(error)) from error
