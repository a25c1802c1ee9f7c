"""Caches and overrides read: strictly, and clause by clause, so that one that is wrong costs no more than itself. Pure.

docs/spec/known-servers.md has the schema; REQUIREMENTS D5, D6, D8, D9, D12, note 9; DESIGN §6.8 and 6.14.
"""

import re
from typing import Final

from commonhold.authority import times
from commonhold.crypto.statements import verified
from commonhold.formats import announcement, blessing, hint, pin, statement
from commonhold.formats.announcement import MAX_ADDRESSES, MAX_BLESSINGS, MAX_NAME, Announcement
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.hint import Hint, UnknownHint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from commonhold.grids import marked
from commonhold.grids.clauses import MAX_CLAUSES, MAX_COPIES, MAX_HINTS, VERSION, Clause, Copy, File, Local, Marked
from commonhold.grids.fields import Table, shown
from commonhold.grids.marked import Entries, Items, Node, Place, Problem, Scalar, Wrong

OVERRIDE: Final = "override.yaml"
CACHE: Final = "cache"

_MAX_RULE = 400
_PINS = re.compile(b"p[a-z2-7]{56}")
_WRITTEN = frozenset(("rules", "seen", "connected"))  # by hold, in a cache; in an override they came with a copy
_CHOSEN = frozenset(("hints", "add_hints", "direct", "use", "name"))
_COPIED = frozenset(("grid", "purpose", "name", "addresses", "sequence", "not_after", "signed"))


def cache(introducer: SpkiPin, data: bytes) -> File:
    """Return what a cache says: announcements that are signed, and nothing that its server did not say."""
    return _file(f"{CACHE}/{introducer}.yaml", data, introducer)


def override(data: bytes) -> File:
    """Return what the override says."""
    return _file(OVERRIDE, data, None)


def _file(name: str, data: bytes, introducer: SpkiPin | None) -> File:
    try:
        found = marked.parse(name, data)
        _refuse_version(found)
    except Wrong as error:
        return File(name, introducer, {}, (error.problem,), _all_named(data, error.problem))
    clauses: dict[SpkiPin, Clause] = {}
    problems: list[Problem] = []
    refused: dict[SpkiPin, Problem] = {}
    for key, value in found.entries:
        if isinstance(key, Scalar) and key.text == "version":
            continue
        server: SpkiPin | None = None
        try:
            server = _server(key)
            if server in clauses or server in refused:
                raise Wrong(key.place, shown(server), "a second clause for this server: neither counts")
            if len(clauses) >= MAX_CLAUSES:
                raise Wrong(key.place, shown(server), f"more than {MAX_CLAUSES} clauses")
            clauses[server] = _clause(server, key.place, value, introducer is None)
        except Wrong as error:
            problems.append(error.problem)
            if server is not None:
                clauses.pop(server, None)
                refused.setdefault(server, error.problem)
    return File(name, introducer, clauses, tuple(problems), refused)


def _refuse_version(found: Entries) -> None:
    for key, value in found.entries:
        if isinstance(key, Scalar) and key.text == "version":
            said = value.text if isinstance(value, Scalar) else "no number"
            if said != str(VERSION):
                raise Wrong(value.place, "version", f"{said[:20]!r}; version {VERSION} is known: use a newer hold")


def _all_named(data: bytes, problem: Problem) -> dict[SpkiPin, Problem]:
    """The servers that a file names which cannot be read: what it says of them is not known."""
    found: dict[SpkiPin, Problem] = {}
    for text in _PINS.findall(data):
        try:
            found[pin.parse_pin(text.decode())] = problem
        except Malformed:
            continue
    return found


def _server(key: Node) -> SpkiPin:
    if not isinstance(key, Scalar):
        raise Wrong(key.place, "a clause", key.why if isinstance(key, marked.Bad) else "not the pin of a server")
    try:
        return pin.parse_pin(key.text)
    except Malformed as error:
        raise Wrong(key.place, key.text[:60], f"not the pin of a server: {error.why}") from error


def _clause(server: SpkiPin, place: Place, node: Node, overriding: bool) -> Clause:
    table = Table(shown(server), node, frozenset(("local", "announcement")))
    local = table.get("local")
    copies = table.get("announcement")
    if copies is None and not overriding:
        raise Wrong(place, table.path, "announcement: missing")
    clause = Clause(
        server,
        place,
        Local() if local is None else _local(table.below("local"), local, overriding),
        () if copies is None else _copies(server, table.below("announcement"), copies, overriding),
    )
    direct = clause.local.direct
    if direct and direct.value and not clause.named:
        why = "names no address: those that may be dialled directly stand beside it, in hints or add_hints"
        raise Wrong(direct.place, f"{table.path}.local.direct", why)
    return clause


# ── `local` ────────────────────────────────────────────────────────────────────────────────────────


def _local(path: str, node: Node, overriding: bool) -> Local:
    table = Table(path, node, _WRITTEN | _CHOSEN)
    if not overriding:
        for name in sorted(table.names & _CHOSEN):
            raise table.wrong(name, "stands in an override alone")
    rules = _rules(table)
    seen, connected = table.time("seen"), table.time("connected")
    if overriding:
        rules, seen, connected = (), None, None
    hints, more, direct = _hints(table, "hints"), _hints(table, "add_hints"), table.boolean("direct")
    return Local(hints, more, direct, table.boolean("use"), table.text("name", MAX_NAME), rules, seen, connected)


def _hints(table: Table, name: str) -> Marked[tuple[Hint, ...]] | None:
    """Addresses by the user's own word, all of kinds that are known: another kind is a slip of the pen."""
    texts = table.texts(name, MAX_HINTS, hint.MAX_TEXT)
    if texts is None:
        return None
    found: list[Hint] = []
    for text, place in texts.value:
        one = table.made(name, text, place, hint.parse)
        if isinstance(one, UnknownHint):
            raise Wrong(place, table.below(name), f"{text[:60]!r} is of a kind that is not known: tcp, tor, i2p, unix")
        if one in found:
            raise Wrong(place, table.below(name), f"{one} stands there twice")
        found.append(one)
    if not found:
        raise Wrong(texts.place, table.below(name), "no address; `use: false` keeps a server from being dialled")
    return Marked(tuple(found), texts.place)


def _rules(table: Table) -> tuple[tuple[str, Marked[str]], ...]:
    node = table.get("rules")
    if node is None:
        return ()
    rules = Table(table.below("rules"), node, None)
    if len(rules.names) > MAX_COPIES * MAX_ADDRESSES:
        raise table.wrong("rules", f"more than {MAX_COPIES * MAX_ADDRESSES} addresses")
    return tuple((name, rules.needed(name, rules.text(name, _MAX_RULE))) for name in sorted(rules.names))


# ── `announcement` ─────────────────────────────────────────────────────────────────────────────────


def _copies(server: SpkiPin, path: str, node: Node, overriding: bool) -> tuple[Copy, ...]:
    """One, or a list of those of a server with several purposes."""
    nodes = node.items if isinstance(node, Items) else (node,)
    if not 0 < len(nodes) <= MAX_COPIES:
        raise Wrong(node.place, path, f"{len(nodes)} announcements, not 1 to {MAX_COPIES}")
    found = tuple(_copy(server, path, one, overriding) for one in nodes)
    slots = [(copy.purpose, copy.grid) for copy in found]
    for copy, slot in zip(found, slots, strict=True):
        if slots.count(slot) > 1:
            raise Wrong(copy.place, path, "two announcements for one purpose")
    return found


def _copy(server: SpkiPin, path: str, node: Node, overriding: bool) -> Copy:
    table = Table(path, node, _COPIED | (frozenset(("blessings",)) if overriding else frozenset()))
    data = table.base64("signed", Kind.ANNOUNCEMENT.most)
    if data is None:
        if not overriding:
            raise Wrong(table.place, table.below("signed"), "missing")
        return _said_only(server, table)
    said = table.made("signed", data.value, data.place, announced)
    if said.server != server:
        raise Wrong(data.place, table.below("signed"), f"another server's announcement: {shown(said.server)}")
    _refuse_other(table, said)
    addresses = _addresses(table, said, overriding)
    name = table.text("name", MAX_NAME)
    if name is not None and name.value == said.name:
        name = None
    if name is not None and not overriding:
        raise Wrong(name.place, table.below("name"), f"differs from what is signed, {said.name!r}")
    blessings = _blessings(server, table, said.purpose, said.grid)
    return Copy(table.place, said.purpose, said.grid, data.value, said, addresses, name, blessings)


def announced(data: bytes) -> Announcement:
    """Return what an announcement says whose signature is right; Malformed for what is none."""
    return announcement.parse(verified(Kind.ANNOUNCEMENT, data))


def _refuse_other(table: Table, said: Announcement) -> None:
    """Who a server is stands in what it signed, and nowhere else."""
    for name, signed in (
        ("grid", str(said.grid)),
        ("purpose", str(said.purpose)),
        ("sequence", str(said.sequence)),
        ("not_after", times.shown(said.not_after)),
    ):
        found = table.text(name, 80)
        if found is not None and found.value != signed:
            raise Wrong(
                found.place, table.below(name), f"differs from what is signed, {signed}, and cannot be overridden"
            )


def _addresses(table: Table, said: Announcement, overriding: bool) -> Marked[tuple[Hint, ...]] | None:
    """The addresses that were edited; None where they are those that are signed."""
    texts = table.texts("addresses", MAX_ADDRESSES, announcement.MAX_ADDRESS)
    if texts is None or tuple(text.value for text in texts.value) == said.addresses:
        return None
    if not overriding:
        raise Wrong(texts.place, table.below("addresses"), "differ from what is signed")
    return _hints(table, "addresses")


def _said_only(server: SpkiPin, table: Table) -> Copy:
    """What an override says without a signed announcement: addresses, a name, and blessings, which are signed."""
    for name in ("sequence", "not_after"):
        found = table.text(name, 80)
        if found is not None:
            raise Wrong(found.place, table.below(name), "says nothing where nothing is signed")
    grid_text, purpose_text = table.text("grid", 80), table.text("purpose", blessing.MAX_WORD)
    grid: GridId | None = None
    purpose: Purpose | None = None
    if grid_text is not None:
        grid = table.made("grid", grid_text.value, grid_text.place, pin.parse_grid)
    if purpose_text is not None:
        purpose = Purpose(table.made("purpose", purpose_text.value, purpose_text.place, lambda t: blessing.word("", t)))
    blessings = _blessings(server, table, purpose, grid)
    if blessings:
        first = _blessing(blessings[0].value)
        purpose, grid = first.purpose, first.grid
    return Copy(
        table.place,
        purpose,
        grid,
        addresses=_hints(table, "addresses"),
        name=table.text("name", MAX_NAME),
        blessings=blessings,
    )


def _blessings(
    server: SpkiPin, table: Table, purpose: Purpose | None, grid: GridId | None
) -> tuple[Marked[bytes], ...]:
    """Blessings that were pasted in: of this server and its purpose. Whether they hold is not asked here."""
    found = table.several("blessings", MAX_BLESSINGS, Kind.BLESSING.most)
    for data, place in found:
        said = table.made("blessings", data, place, _blessing)
        purpose, grid = purpose or said.purpose, grid or said.grid
        for what, mine, signed in (
            ("of", shown(server), shown(said.server)),
            ("for", str(purpose), str(said.purpose)),
            ("in grid", str(grid), str(said.grid)),
        ):
            if mine != signed:
                why = f"a blessing {what} {signed}, not {mine}: who a server is cannot be overridden"
                raise Wrong(place, table.below("blessings"), why)
    return found


def _blessing(data: bytes) -> Blessing:
    return blessing.parse(statement.decode(Kind.BLESSING, data))
