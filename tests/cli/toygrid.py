"""A grid's config as simple as can be, and `python -m tests.cli.toygrid`: the command that reads such ones."""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.cli import joined
from commonhold.cli.main import main
from commonhold.formats import hint, pin
from commonhold.formats.hint import TcpHint
from commonhold.transport.rules import Rules


@dataclass(frozen=True)
class Toy:
    """`grid`, and maybe `anonymous` and `tor`, a proxy's address."""

    name: str
    directory: Path
    trust: Trust
    rules: Rules


def load(directory: Path) -> Toy:
    """Read it."""
    said = tomllib.loads((directory / "grid.toml").read_text())
    tor = hint.parse(said["tor"]) if "tor" in said else None
    assert tor is None or isinstance(tor, TcpHint)
    rules = Rules(anonymous=said.get("anonymous", False), tor=tor)
    return Toy(directory.name, directory, Trust((of_its_blesser(pin.parse_grid(said["grid"])),)), rules)


if __name__ == "__main__":
    joined.load = load
    sys.exit(main())
