"""Config files of daemons: TOML, read once. What is wrong with one is an error that names the file and the field."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from commonhold.errors import HoldError, Kind, os_errors

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
        raise HoldError("read", error.kind, str(path), error.why) from error


def wrong(name: str, why: str) -> HoldError:
    """What to raise for a field."""
    return HoldError("read", Kind.USAGE, "config", f"{name}: {why}")
