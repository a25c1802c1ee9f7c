"""Config files of daemons: TOML, read once. What is wrong with one is an error that names the file and the field."""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import hint
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.malformed import Malformed

T = TypeVar("T")


def read(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """Read a config file; `parse` makes of its table what it says."""
    with os_errors("read", str(path)):
        raw = path.read_bytes()
    try:
        return parse(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HoldError("read", Kind.USAGE, str(path), str(error)) from error
    except HoldError as error:
        raise HoldError("read", error.kind, str(path), error.why, hint=error.hint) from error


def wrong(name: str, why: str) -> HoldError:
    """What to raise for a field."""
    return HoldError("read", Kind.USAGE, "config", f"{name}: {why}")


def text(about: str, values: Mapping[str, Any]) -> str:
    """A config file with these values, without those that are empty; TOML's texts and lists are JSON's here."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value]
    return f"# {about}\n" + "\n".join(lines) + "\n"


# ── fields that daemons have in common: each takes the whole table, and names the field that is wrong ──


def only(values: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Refuse whatever is no field."""
    for name in values:
        if name not in fields:
            raise wrong(name, "no such field")


def one(name: str, value: Any, read_one: Callable[[str], T]) -> T:
    """What a text is read as."""
    if not isinstance(value, str):
        raise wrong(name, "not a text")
    try:
        return read_one(value)
    except (Malformed, HoldError) as error:
        raise wrong(name, str(error)) from error


def several(values: Mapping[str, Any], name: str, read_one: Callable[[str], T], most: int) -> tuple[T, ...]:
    """What each text of a list is read as; nothing, if there is none."""
    found = values.get(name, [])
    if not isinstance(found, list):
        raise wrong(name, "not a list")
    if len(found) > most:
        raise wrong(name, f"more than {most}")
    return tuple(one(name, text, read_one) for text in found)


def number(values: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number from 0."""
    found = values.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise wrong(name, "not a whole number from 0")
    return found


def flag(values: Mapping[str, Any], name: str) -> bool:
    """Yes or no; no, if it is not said."""
    found = values.get(name, False)
    if not isinstance(found, bool):
        raise wrong(name, "neither true nor false")
    return found


def directory(values: Mapping[str, Any], name: str) -> Path:
    """An absolute path."""
    found = values.get(name)
    if not isinstance(found, str) or not found.startswith("/"):
        raise wrong(name, "not an absolute path")
    return Path(found)


def label(values: Mapping[str, Any], name: str, most: int) -> str:
    """A text for people; empty, if there is none."""
    found = values.get(name, "")
    if not isinstance(found, str) or len(found) > most or not found.isprintable():
        raise wrong(name, f"not a text of up to {most} characters that can be printed")
    return found


def listening(text: str) -> TcpHint | UnixHint:
    """Where a server listens."""
    found = hint.parse(text)
    if not isinstance(found, TcpHint | UnixHint):
        raise Malformed("address", "a server listens at tcp: or unix: addresses")
    return found
