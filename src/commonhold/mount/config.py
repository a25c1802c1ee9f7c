"""What a mount is told, once, when it starts. TOML; an unknown or ill-typed field is an error that names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from commonhold.formats.malformed import Malformed
from commonhold.host import configs
from commonhold.identity.idmap import IdMap, Row

RUNTIME = Path("/run/commonhold-mount")
NAMES = ("ipfs", "ipns", "hold")  # of the tree's directories
_PATHS = {"at", "socket", "node", *NAMES}
_WORDS = {"user", "public", "realm"}
_ROWS = ("users", "groups")
_FIELDS = set(Row._fields)


@dataclass(frozen=True, slots=True)
class Config:
    """One mount. `at` is where the tree is mounted, `shown` where its directories are, too; `user` is who the worker
    runs as, `public` whose agent serves what is everybody's; `node` is the repository or socket that agents use (None:
    the one that each finds)."""

    at: Path = RUNTIME / "tree"
    shown: tuple[tuple[str, Path], ...] = ()
    socket: Path = RUNTIME / "agents.sock"
    user: str = "hold-mount"
    public: str = "hold-public"
    realm: str = "local"
    node: Path | None = None
    users: tuple[Row, ...] = ()  # uids whose principals the user database does not say, or says otherwise
    groups: tuple[Row, ...] = ()


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    for name, value in values.items():
        if name in _ROWS:
            continue
        if name not in _PATHS | _WORDS:
            raise configs.wrong(name, "no such field")
        if not isinstance(value, str) or not value:
            raise configs.wrong(name, "not a text")
        if name in _PATHS and not value.startswith("/"):
            raise configs.wrong(name, "not an absolute path")
    shown = tuple((name, Path(values[name])) for name in NAMES if name in values)
    rest: dict[str, Any] = {
        name: Path(value) if name in _PATHS else value
        for name, value in values.items()
        if name not in NAMES and name not in _ROWS
    }
    rest |= {name: _rows(name, values[name]) for name in _ROWS if name in values}
    config = Config(shown=shown, **rest)
    _check_ids(config)
    return config


def _rows(name: str, value: object) -> tuple[Row, ...]:
    """Rows of an id map: tables of `first`, `size` and `principal`."""
    if not isinstance(value, list) or not all(isinstance(one, dict) and set(one) == _FIELDS for one in value):
        raise configs.wrong(name, f"not tables of {', '.join(Row._fields)}")
    try:
        return tuple(msgspec.convert([[one[field] for field in Row._fields] for one in value], list[Row]))
    except msgspec.ValidationError as error:
        raise configs.wrong(name, str(error)) from error


def _check_ids(config: Config) -> None:
    """USAGE for a realm that is none, and for rows that are not injective."""
    for name in _ROWS:
        try:
            IdMap(config.realm, getattr(config, name), lambda _: None, lambda _: None)
        except Malformed as error:
            raise configs.wrong(name if getattr(config, name) else "realm", error.why) from error
