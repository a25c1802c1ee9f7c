"""What a storage server is told, once, when it starts. TOML; what is wrong with a field is an error that names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from commonhold.errors import HoldError
from commonhold.formats import announcement, hint, pin
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.host import configs

RESERVE: Final = 1 << 30
_T = TypeVar("_T")
_FIELDS = frozenset(("state", "grid", "blessers", "needed", "listen", "announce", "name", "reserve"))


@dataclass(frozen=True, slots=True)
class Config:
    """One server of one grid. `blessers` are those whose credentials count, of whom `needed` must agree; `announce` are
    the addresses by which others reach it, as hints; `reserve` bytes of each disk stay free."""

    state: Path
    grid: GridId
    blessers: frozenset[PublicKey]
    listen: tuple[TcpHint | UnixHint, ...]
    needed: int = 1
    announce: tuple[str, ...] = ()
    name: str = ""
    reserve: int = RESERVE


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    for name in values:
        if name not in _FIELDS:
            raise configs.wrong(name, "no such field")
    grid = _of("grid", values.get("grid"), pin.parse_grid)
    blessers = _several(values, "blessers", pin.parse_grid) or (grid,)
    announced = _several(values, "announce", hint.parse)
    if len(announced) > announcement.MAX_ADDRESSES:
        raise configs.wrong("announce", f"more than {announcement.MAX_ADDRESSES} addresses")
    return Config(
        state=_path(values),
        grid=grid,
        blessers=frozenset(one.blesser for one in blessers),
        listen=_several(values, "listen", _listening),
        needed=_number(values, "needed", 1),
        announce=tuple(map(str, announced)),
        name=_name(values),
        reserve=_number(values, "reserve", RESERVE),
    )


def _path(values: Mapping[str, Any]) -> Path:
    found = values.get("state")
    if not isinstance(found, str) or not found.startswith("/"):
        raise configs.wrong("state", "not an absolute path")
    return Path(found)


def _name(values: Mapping[str, Any]) -> str:
    found = values.get("name", "")
    if not isinstance(found, str) or len(found) > announcement.MAX_NAME or not found.isprintable():
        raise configs.wrong("name", f"not a text of up to {announcement.MAX_NAME} characters that can be printed")
    return found


def _number(values: Mapping[str, Any], name: str, default: int) -> int:
    found = values.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise configs.wrong(name, "not a whole number from 0")
    return found


def _listening(text: str) -> TcpHint | UnixHint:
    found = hint.parse(text)
    if not isinstance(found, TcpHint | UnixHint):
        raise Malformed("address", "a server listens at tcp: or unix: addresses")
    return found


def _several(values: Mapping[str, Any], name: str, read_one: Callable[[str], _T]) -> tuple[_T, ...]:
    found = values.get(name, [])
    if not isinstance(found, list):
        raise configs.wrong(name, "not a list")
    return tuple(_of(name, one, read_one) for one in found)


def _of(name: str, value: Any, read_one: Callable[[str], _T]) -> _T:
    if not isinstance(value, str):
        raise configs.wrong(name, "not a text")
    try:
        return read_one(value)
    except (Malformed, HoldError) as error:
        raise configs.wrong(name, str(error)) from error
