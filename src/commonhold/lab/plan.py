"""What a lab consists of: its parts by name, where each has its things, which ports are whose. JSON in `lab.json`.

Pure but for the file. Names are `blesser`, `intro1`…, `server1`…, and those of users.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk

FILE: Final = "lab.json"
_NAME = re.compile("[a-z][a-z0-9-]{0,30}", re.ASCII)
_RESERVED = re.compile("blesser|intro[0-9]+|server[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a lab: `hold WORDS`. `port` is where it listens, `wire` the port by which others reach it, and
    `lines` those by which some users do."""

    name: str
    words: tuple[str, ...]
    port: int
    wire: int
    lines: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a lab."""

    grid: str
    parts: tuple[Part, ...]
    users: tuple[str, ...]
    pins: dict[str, str] = field(default_factory=dict)  # of servers and introducers, by name

    @property
    def servers(self) -> tuple[Part, ...]:
        """Those that keep shares."""
        return tuple(one for one in self.parts if one.name.startswith("server"))

    def part(self, name: str) -> Part:
        """A part by its name. NOT_FOUND."""
        for one in self.parts:
            if one.name == name:
                return one
        there = ", ".join(one.name for one in self.parts)
        raise HoldError("lab", Kind.NOT_FOUND, name, f"no part of this lab; there are {there}", hint="hold lab status")


def check_user(name: str) -> str:
    """Return a user's name. USAGE for one that cannot be, or is a part's."""
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise HoldError("lab", Kind.USAGE, name[:40], "not a user's name: small letters, digits and hyphens")
    return name


def write(directory: Path, plan: Plan) -> None:
    """Keep a plan."""
    with os_errors("lab", str(directory)):
        disk.replace_file(str(directory / FILE), json.dumps(asdict(plan), indent=1).encode())


def read(directory: Path) -> Plan:
    """The plan of a lab. NOT_FOUND where there is none."""
    path = directory / FILE
    if not path.exists():
        raise HoldError("lab", Kind.NOT_FOUND, str(directory), "there is no lab", hint=f"hold lab up {directory}")
    with os_errors("lab", str(path)):
        found = json.loads(path.read_bytes())
    try:
        parts = tuple(
            Part(one["name"], tuple(one["words"]), one["port"], one["wire"], dict(one["lines"]))
            for one in found["parts"]
        )
        return Plan(found["grid"], parts, tuple(found["users"]), dict(found["pins"]))
    except (KeyError, TypeError) as error:
        raise HoldError("lab", Kind.CORRUPT, str(path), "it is no lab's plan") from error
