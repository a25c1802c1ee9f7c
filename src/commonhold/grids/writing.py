"""A cache as text: what one introducer has shown, for people to read and to copy from, and for `reading`. Pure.

docs/spec/known-servers.md; REQUIREMENTS D5, D8, D12.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from commonhold.authority import times
from commonhold.formats.announcement import Announcement
from commonhold.formats.pin import SpkiPin
from commonhold.grids import addressing
from commonhold.grids.clauses import MAX_CLAUSES, MAX_COPIES, VERSION, File
from commonhold.grids.marked import MAX_FILE
from commonhold.grids.reading import announced
from commonhold.transport.rules import Rules


@dataclass(frozen=True, slots=True)
class Entry:
    """An announcement that an introducer has shown, whose signature is right; when it did so last, and when its server
    was last connected to (None: not yet). Seconds since 1970."""

    data: bytes
    said: Announcement
    seen: int
    connected: int | None = None


class Cached(NamedTuple):
    """A cache's bytes, and how many entries they have no room for."""

    data: bytes
    left_out: int


def entries(file: File) -> tuple[Entry, ...]:
    """Return what a cache that was read has."""
    return tuple(
        Entry(
            copy.data,
            copy.said,
            clause.local.seen.value if clause.local.seen else 0,
            clause.local.connected.value if clause.local.connected else None,
        )
        for clause in file.clauses.values()
        for copy in clause.copies
        if copy.said is not None
    )


def renewed(
    before: Iterable[Entry], brought: Iterable[bytes], connected: Mapping[SpkiPin, int], now: int
) -> tuple[Entry, ...]:
    """Return a cache's next entries: what the introducer shows now, and what it showed before and has not replaced.

    So what was known outlasts an introducer that is gone, shows nothing yet, or goes back to an older one. `brought`
    are announcements, encoded; Malformed for one that is none. `connected`: when servers were last connected to.
    """
    found = {_slot(one.said): one for one in before}
    for data in brought:
        said = announced(data)
        was = found.get(_slot(said))
        if was is None or was.said.sequence <= said.sequence:
            found[_slot(said)] = Entry(data, said, now, was.connected if was else None)
    return tuple(
        Entry(
            one.data,
            one.said,
            one.seen,
            max(filter(None, (one.connected, connected.get(one.said.server))), default=None),
        )
        for one in found.values()
    )


def _slot(said: Announcement) -> tuple[bytes, str, bytes]:
    return said.server, said.purpose, said.grid


def cache(introducer: SpkiPin, shown: Iterable[Entry], rules: Rules) -> Cached:
    """Return the file of one introducer's entries. Where there is no room for all, those seen last stay."""
    servers: dict[SpkiPin, list[Entry]] = {}
    for one in shown:
        servers.setdefault(one.said.server, []).append(one)
    head = _HEAD.format(introducer=introducer, version=VERSION)
    room, left_out = MAX_FILE - len(head.encode()), 0
    clauses: dict[SpkiPin, str] = {}
    for server, mine in sorted(servers.items(), key=lambda item: (-max(one.seen for one in item[1]), item[0])):
        mine.sort(key=lambda one: (one.said.purpose, one.said.grid))
        text = _clause(server, mine[:MAX_COPIES], rules)
        if len(clauses) == MAX_CLAUSES or len(text.encode()) > room:
            left_out += len(mine)
            continue
        left_out += len(mine[MAX_COPIES:])
        room -= len(text.encode())
        clauses[server] = text
    return Cached((head + "".join(clauses[server] for server in sorted(clauses))).encode(), left_out)


_HEAD = """\
# What the introducer {introducer} has shown.
# Written by hold, and written anew: to change how a server is reached, use `hold override`, or copy its clause to
# override.yaml and edit it there.
version: {version}
"""


def _clause(server: SpkiPin, mine: list[Entry], rules: Rules) -> str:
    lines = [f"{server}:", "  announcement:"]
    for one in mine:
        fields = _announcement(one)
        first, more = ("    - ", "      ") if len(mine) > 1 else ("    ", "    ")
        lines += [f"{more if number else first}{line}" for number, line in enumerate(fields)]
    lines += ["  local:", f"    seen: {times.shown(max(one.seen for one in mine))}"]
    connected = max((one.connected for one in mine if one.connected is not None), default=None)
    if connected is not None:
        lines.append(f"    connected: {times.shown(connected)}")
    addresses = sorted({text for one in mine for text in one.said.addresses})
    if addresses:
        lines.append("    rules:")
        lines += [
            f"      {_quoted(text)}: {_quoted(addressing.announced(text, server, rules)[1])}" for text in addresses
        ]
    return "\n".join(lines) + "\n"


def _announcement(one: Entry) -> list[str]:
    said = one.said
    return [
        f"grid: {said.grid}",
        f"purpose: {_quoted(said.purpose)}",
        *([f"name: {_quoted(said.name)}"] if said.name else []),
        "addresses:" if said.addresses else "addresses: []",
        *(f"  - {_quoted(text)}" for text in said.addresses),
        f"sequence: {said.sequence}",
        f"not_after: {times.shown(said.not_after)}",
        f"signed: {base64.b64encode(one.data).decode()}",
    ]


def _quoted(text: str) -> str:
    """A text in double quotes, as YAML and JSON both read it. It has to be printable."""
    return json.dumps(text, ensure_ascii=False)
