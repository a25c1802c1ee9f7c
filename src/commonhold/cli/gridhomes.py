"""Where grids are, and how a blesser is told something: by its control socket if it runs, else on its files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonhold.cli.opening import choose, state_of
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.ipc.control import Told

DIRECTORY = "grids"


def directory(args: argparse.Namespace) -> Path:
    """Where the caller's grids are; the directory above it is there on return."""
    return state_of(choose(args).path.absolute()) / DIRECTORY


def grid_name(text: str) -> str:
    """A grid's name, which is its directory's, too."""
    from commonhold.formats.blessing import word
    from commonhold.formats.malformed import Malformed

    try:
        return word("grid's name", text)
    except Malformed as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is {error.why}") from error


def home(args: argparse.Namespace, name: str | None) -> Path:
    """The home of a blesser of the caller's: the named one, or else the only one. NOT_FOUND, USAGE."""
    from commonhold.blesser.home import is_home

    place = directory(args)
    if name is not None:
        if not is_home(place / name):
            why = "you have no blesser for a grid of that name"
            raise HoldError("find grid", Kind.NOT_FOUND, name, why, hint=f"hold grid create {name}")
        return place / name
    found = blessers(place)
    if len(found) != 1:
        why = f"you have {len(found)} blessers" if found else "you have no blesser"
        hint = f"name one: {', '.join(path.name for path in found)}" if found else "hold grid create NAME"
        raise HoldError("find", Kind.USAGE, "grid", why, hint=hint)
    return found[0]


def blessers(place: Path) -> list[Path]:
    """The homes of all blessers in a directory."""
    from commonhold.blesser.home import is_home

    return [path for path in sorted(place.iterdir()) if is_home(path)] if place.is_dir() else []


def order(path: Path, said: dict[str, Any], command: str) -> "Told":
    """Tell a blesser something; what comes of it."""
    from commonhold.blesser import main
    from commonhold.blesser.orders import Orders
    from commonhold.ipc import control

    told = control.tell(path / control.SOCKET, said)
    if told is not None:
        return told
    with main.opened(path, command) as office:
        return Orders(office).do(said)


def runs(path: Path) -> bool:
    """Whether a blesser runs."""
    from commonhold.ipc import control, endpoint

    socket = path / control.SOCKET
    return socket.is_socket() and endpoint.answers(socket)
