"""Which server has which port of a relay: the same one each time, in a file of lines `PIN PORT`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, parse_pin
from commonhold.host import disk

FILE: Final = "ports"


def assigned(kept: Mapping[SpkiPin, int], admitted: Iterable[SpkiPin], ports: range) -> dict[SpkiPin, int]:
    """Return every server's port: what was kept stays, and whoever is new gets the lowest that nobody has had.

    Where none is left, one that is admitted no more gives up its own. There are as many ports as are admitted.
    """
    found = {server: port for server, port in kept.items() if port in ports}
    wanted = tuple(admitted)
    for server in wanted:
        if server not in found:
            free = [port for port in ports if port not in found.values()]
            if not free:
                gone = next(one for one in found if one not in wanted)
                free = [found.pop(gone)]
            found[server] = free[0]
    return found


def load(directory: Path) -> dict[SpkiPin, int]:
    """What a relay's directory has; nothing at first. CORRUPT."""
    path = directory / FILE
    with os_errors("read ports", str(path)):
        lines = path.read_text().splitlines() if path.exists() else []
    try:
        found = {parse_pin(server): int(port) for server, port in (line.split(" ") for line in lines)}
        if len(set(found.values())) != len(lines):
            raise ValueError("one port or one server twice")
    except (ValueError, Malformed) as error:
        hint = f"mend it, or rm {path}: then servers get other ports"
        raise HoldError("read ports", Kind.CORRUPT, str(path), str(error), hint=hint) from error
    return found


def keep(directory: Path, ports: Mapping[SpkiPin, int]) -> None:
    """Write it; on disk on return."""
    path = directory / FILE
    with os_errors("keep ports", str(path)):
        disk.replace_file(str(path), "".join(f"{server} {port}\n" for server, port in ports.items()).encode())
