"""Which server is meant: by its name, its pin, or the beginning of one. Pure."""

from collections.abc import Sequence
from typing import Final

from commonhold.errors import HoldError, Kind
from commonhold.formats.pin import SpkiPin
from commonhold.grids.known import KnownServer

SHORTEST: Final = 8  # characters of a pin's beginning


def chosen(servers: Sequence[KnownServer], text: str) -> tuple[KnownServer, ...]:
    """Return the server that is meant, once for each purpose. NOT_FOUND; USAGE where several could be meant."""
    found = [server for server in servers if str(server.pin) == text] or [
        server for server in servers if server.name == text or _begins(server.pin, text)
    ]
    if not found:
        more = "" if len(text) >= SHORTEST else f"; the beginning of a pin takes {SHORTEST} characters"
        raise HoldError(
            "find", Kind.NOT_FOUND, f"server {text}", f"no server is known by that{more}", hint="hold servers"
        )
    pins = dict.fromkeys((server.slot.grid, server.pin) for server in found)
    if len(pins) > 1:
        listed = ", ".join(dict.fromkeys(f"{server.name or 'without a name'} {server.pin}" for server in found))
        raise HoldError("find", Kind.USAGE, f"server {text}", f"several are: {listed}", hint="say its pin")
    return tuple(found)


def _begins(server: SpkiPin, text: str) -> bool:
    return len(text) >= SHORTEST and str(server).startswith(text)
