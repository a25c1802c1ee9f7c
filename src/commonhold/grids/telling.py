"""What is known of a server, in words and as values for programs. Pure."""

import re
from typing import Any

from commonhold.authority import times
from commonhold.authority.blessed import Verdict
from commonhold.grids.fields import shown
from commonhold.grids.known import Decision, KnownServer, Told, View
from commonhold.grids.marked import Place, Problem

_PIN = re.compile("(p[a-z2-7]{9})[a-z2-7]{47}")
COLUMNS = ("NAME", "PIN", "PURPOSE", "MAY", "CLASSES", "LAST SEEN", "REACHED")


def columns(server: KnownServer) -> tuple[str, ...]:
    """One line of the table of servers."""
    return (
        server.name or "-",
        shown(server.pin).removesuffix("…"),
        str(server.purpose),
        _may(server),
        ",".join(sorted(server.classes)) or "-",
        _last(server),
        server.reached,
    )


def _may(server: KnownServer) -> str:
    if server.upload.allowed and server.upload.until is not None:
        return f"upload until {times.shown(server.upload.until)}"
    if server.upload.allowed:
        return "upload"
    leaving = ", leaving" if server.leaving else ""
    return f"read only{leaving}" if server.read.allowed else f"nothing{leaving}"


def _last(server: KnownServer) -> str:
    last = max(filter(None, (server.seen, server.connected)), default=None)
    return "-" if last is None else times.shown(last)


def lines(server: KnownServer, grid: str) -> list[str]:
    """All that is known of a server, and why: verdicts, blessings, addresses, introducers, what decided which field."""
    found = [f"{server.name or 'without a name'} {server.pin}, {server.purpose} in grid {grid}"]
    found += [f"upload: {'yes' if server.upload.allowed else 'no'}: {server.upload.said}"]
    found += [f"read: {'yes' if server.read.allowed else 'no'}: {server.read.said}"]
    found += ["leaving: what is kept there is to be moved to other servers"] if server.leaving else []
    seen = server.read.seen or server.upload.seen
    found += [f"blessing {one} ({_short(place)})" for one, place in zip(seen, server.blessed_at, strict=False)]
    for address in server.addresses:
        then = next((mark for text, mark in server.cached if text == address.text and mark.value != address.said), None)
        cached = f"; when it was cached: {then.value}" if then and not address.named else ""
        found.append(f"address {address.text} ({_short(address.place)}): {address.said}{cached}")
    found += [_told(one) for one in server.told]
    return found + [_decided(one) for one in server.trace]


def _told(one: Told) -> str:
    if one.said is None or one.place is None:
        return f"introducer {shown(one.introducer)} {View.NONE.value}"
    return f"introducer {shown(one.introducer)} {one.view.value}, number {one.said.sequence} ({_short(one.place)})"


def _decided(one: Decision) -> str:
    instead = "".join(f", instead of {value or 'nothing'} ({_short(place)})" for value, place in one.instead)
    return f"{one.field} {one.value}: {_short(one.place)}{instead}"


def _short(place: Place) -> str:
    """A place as people need it: of a cache's name as much as of its introducer's pin."""
    return str(place._replace(file=_PIN.sub(r"\1…", place.file)))


def row(server: KnownServer, grid: str) -> dict[str, Any]:
    """A server as programs are told it. Times are in seconds since 1970."""
    return {
        "grid": grid,
        "name": server.name,
        "pin": str(server.pin),
        "purpose": str(server.purpose),
        "upload": _verdict(server.upload),
        "read": _verdict(server.read),
        "leaving": server.leaving,
        "classes": sorted(server.classes),
        "reached": server.reached,
        "addresses": [
            {
                "address": one.text,
                "from": _place(one.place),
                "override": one.named,
                "dialled": one.hint is not None,
                "reached": one.reached,
                "how": one.said,
            }
            for one in server.addresses
        ],
        "seen": server.seen,
        "connected": server.connected,
    }


def whole_row(server: KnownServer, grid: str) -> dict[str, Any]:
    """The same, with all that decided it."""
    seen = server.read.seen or server.upload.seen
    return row(server, grid) | {
        "blessings": [
            {"said": str(one), "stands": one.reason.value, "serial": one.serial, "from": _place(place)}
            for one, place in zip(seen, server.blessed_at, strict=False)
        ],
        "introducers": [
            {
                "introducer": str(one.introducer),
                "view": one.view.value,
                "sequence": one.said.sequence if one.said else None,
                "from": _place(one.place),
            }
            for one in server.told
        ],
        "cached": [{"address": text, "how": mark.value, "from": _place(mark.place)} for text, mark in server.cached],
        "decided": [
            {
                "field": one.field,
                "value": one.value,
                "by": _place(one.place),
                "instead": [{"value": value, "by": _place(place)} for value, place in one.instead],
            }
            for one in server.trace
        ],
    }


def problem_row(problem: Problem, grid: str) -> dict[str, Any]:
    """What is wrong with a field, as programs are told it."""
    return {"grid": grid, "problem": problem.why, "field": problem.field, "at": _place(problem.place)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"allowed": verdict.allowed, "said": verdict.said, "until": verdict.until}


def _place(place: Place | None) -> str | None:
    return str(place) if place else None
