"""One clause of an override changed where it stands: what is around it, and every comment, stays as it is. Pure.

What came of a change is read again and compared before anybody gets it: a file that is written in a way that cannot be
changed like this is refused, and left to its owner. REQUIREMENTS D23; docs/spec/known-servers.md.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from commonhold.formats import pin
from commonhold.formats.hint import Hint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.grids import marked, reading
from commonhold.grids.clauses import VERSION
from commonhold.grids.fields import shown
from commonhold.grids.marked import Bad, Entries, Items, Node, Place, Scalar, Wrong

_HEAD: Final = f"""\
# How servers are reached, by your own word: `hold override` writes here, `hold why` says what came of it.
version: {VERSION}
"""
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_CHANGED = ("hints", "direct")


def named(data: bytes) -> tuple[SpkiPin, ...]:
    """The servers that have a clause, whatever it says. Wrong for a file that is not YAML."""
    found: list[SpkiPin] = []
    for key, _ in marked.parse(reading.OVERRIDE, data).entries:
        try:
            found += [pin.parse_pin(key.text)] if isinstance(key, Scalar) else []
        except Malformed:
            continue
    return tuple(found)


def changed(data: bytes, server: SpkiPin, name: str, hints: tuple[Hint, ...] | None, direct: bool) -> bytes:
    """Return the override in which a server has these hints (None: those it has), which may be dialled directly or not.

    `name` is said in a comment beside a new clause. Wrong where that cannot be done.
    """
    before = reading.override(data)
    if before.clauses.get(server) is None and (server in before.refused or not _whole(before.problems)):
        problem = before.refused.get(server) or before.problems[0]
        raise Wrong(problem.place, problem.field, f"{problem.why}; mend it first")
    data = data or _HEAD.encode()
    text, lines = _text(data)
    root = marked.parse(reading.OVERRIDE, data)
    fields = {} if hints is None else {"hints": json.dumps([str(one) for one in hints], ensure_ascii=False)}
    mine = next((value for key, value in root.entries if _is(key, server)), None)
    if direct or (isinstance(mine, Entries) and _entry(mine, "local", "direct")):
        fields["direct"] = "true" if direct else "false"
    after = _appended(text, server, name, fields) if mine is None else _set(text, root, mine, fields)
    _compare(text, root, after, server, fields)
    made = lines(after)
    found = reading.override(made)
    if server in found.refused:
        raise Wrong(*found.refused[server])
    clause = found.clauses.get(server)
    if clause is None or (hints is not None and (clause.local.hints is None or clause.local.hints.value != hints)):
        raise _by_hand(root, server)
    return made


def cleared(data: bytes, server: SpkiPin) -> bytes:
    """Return the override without a server's clause, whatever that says. Wrong where it cannot be cut out."""
    root = marked.parse(reading.OVERRIDE, data)
    text, lines = _text(data)
    after = text
    for key, value in reversed(root.entries):
        if _is(key, server):
            start = text.rfind("\n", 0, key.start) + 1
            end = text.find("\n", max(key.end, value.end - 1))
            after = after[:start] + (after[end + 1 :] if end >= 0 else "")
    _compare(text, root, after, server, None)
    return lines(after)


def _whole(problems: tuple[marked.Problem, ...]) -> bool:
    """Whether a file could be read, but for clauses: what is wrong with all of it names no field."""
    return all(problem.field and problem.field != "version" for problem in problems)


def _text(data: bytes) -> tuple[str, Callable[[str], bytes]]:
    """The file's characters as they are counted, and how to make bytes of them again. Wrong for lines of two kinds."""
    text = data.decode()
    if "\r\n" in text:
        if text.count("\n") != text.count("\r\n"):
            raise Wrong(Place(reading.OVERRIDE, 1, 1), "", "its lines end in two ways; edit it by hand")
        return text.replace("\r\n", "\n"), lambda made: made.replace("\n", "\r\n").encode()
    return text, str.encode


def _is(key: Node, server: SpkiPin) -> bool:
    return isinstance(key, Scalar) and key.text == str(server)


def _entry(node: Node, *names: str) -> tuple[Node, Node] | None:
    """The key and value that names lead to, one below the other."""
    found: tuple[Node, Node] | None = None
    for name in names:
        if not isinstance(node, Entries):
            return None
        found = next((pair for pair in node.entries if isinstance(pair[0], Scalar) and pair[0].text == name), None)
        if found is None:
            return None
        node = found[1]
    return found


def _appended(text: str, server: SpkiPin, name: str, fields: dict[str, str]) -> str:
    lines = [f"{server}:{f' # {name}' if name else ''}", "  local:"]
    lines += [f"    {key}: {value}" for key, value in fields.items()]
    return text + ("" if text.endswith("\n") else "\n") + "\n" + "\n".join(lines) + "\n"


def _set(text: str, root: Node, clause: Node, fields: dict[str, str]) -> str:
    """Put fields into a clause's `local`."""
    local = _entry(clause, "local")
    comments = _comments(text, root)
    edits: list[tuple[int, int, str]] = []
    if local is None and isinstance(clause, Entries):
        if clause.flow:
            edits.append(
                _new(clause, "local", "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}")
            )
        else:
            indent = "\n" + " " * (_column(clause) + 2)
            edits.append(_new(clause, "local", "".join(f"{indent}{key}: {value}" for key, value in fields.items())))
    elif local is not None and isinstance(local[1], Entries):
        for name, value in fields.items():
            there = _entry(local[1], name)
            edits += [_new(local[1], name, value)] if there is None else _replaced(comments, there, value)
    for start, end, made in sorted(edits, reverse=True):
        text = text[:start] + made + text[end:]
    return text


def _column(block: Entries) -> int:
    return block.entries[0][0].place.column - 1


def _new(within: Entries, name: str, value: str) -> tuple[int, int, str]:
    """The edit that puts a field in front of the others."""
    gap = "" if value.startswith("\n") else " "
    if within.flow:
        return within.start + 1, within.start + 1, f"{name}:{gap}{value}" + (", " if within.entries else "")
    at = within.entries[0][0].start
    return at, at, f"{name}:{gap}{value}\n" + " " * _column(within)


def _replaced(comments: list[tuple[int, str]], there: tuple[Node, Node], value: str) -> list[tuple[int, int, str]]:
    """The edits that give a field another value, with the comments between its items before it."""
    key, old = there
    said = [comment for at, comment in comments if key.end <= at < old.end]
    indent = "\n" + " " * (key.place.column - 1)
    return [(key.end, old.end, f": {value}"), (key.start, key.start, "".join(f"{one}{indent}" for one in said))]


def _spans(node: Node) -> Iterator[tuple[int, int]]:
    """Where there are texts, in which nothing is a comment."""
    if isinstance(node, Scalar | Bad):
        yield node.start, node.end
    for child in node.items if isinstance(node, Items) else ():
        yield from _spans(child)
    for key, value in node.entries if isinstance(node, Entries) else ():
        yield from _spans(key)
        yield from _spans(value)


def _comments(text: str, root: Node) -> list[tuple[int, str]]:
    """The comments of a file, and where they begin."""
    blank = list(text)
    for start, end in _spans(root):
        blank[start:end] = "x" * (end - start)
    return [(found.start(), found[0]) for found in _COMMENT.finditer("".join(blank))]


def _compare(text: str, root: Entries, after: str, server: SpkiPin, fields: dict[str, str] | None) -> None:
    """Refuse a change after which anything else would be another than before. `fields`: None, all of a clause goes."""
    try:
        now = marked.parse(reading.OVERRIDE, after.encode())
    except Wrong as error:
        raise _by_hand(root, server) from error
    whole = fields is None
    if _others(root, server, whole) != _others(now, server, whole):
        raise _by_hand(root, server)
    if whole:
        return
    kept = Counter(said for _, said in _comments(after, now))
    if Counter(said for _, said in _comments(text, root)) - kept:
        raise _by_hand(root, server)


def _by_hand(root: Entries, server: SpkiPin) -> Wrong:
    place = next((key.place for key, _ in root.entries if _is(key, server)), Place(reading.OVERRIDE, 1, 1))
    return Wrong(place, shown(server), "written in a way that this command cannot change; edit it by hand")


def _others(root: Entries, server: SpkiPin, whole: bool) -> list[tuple[str, Any]]:
    """All that is not to change: the other clauses, and the other fields of this one unless the whole of it goes."""
    found: list[tuple[str, Any]] = [
        (repr(_plain(key)), _plain(value)) for key, value in root.entries if not _is(key, server)
    ]
    if whole:
        return found
    for key, value in root.entries:
        if _is(key, server):
            found += [
                (repr(_plain(field)), _plain(below)) for field, below in _fields(value) if not _named(field, "local")
            ]
            local = _entry(value, "local")
            found += (
                []
                if local is None
                else [
                    (repr(_plain(field)), _plain(below))
                    for field, below in _fields(local[1])
                    if not _named(field, *_CHANGED)
                ]
            )
    return found


def _fields(node: Node) -> tuple[tuple[Node, Node], ...]:
    return node.entries if isinstance(node, Entries) else ()


def _named(key: Node, *names: str) -> bool:
    return isinstance(key, Scalar) and key.text in names


def _plain(node: Node) -> Any:
    """What a node says, wherever it stands."""
    if isinstance(node, Scalar):
        return node.text, node.plain
    if isinstance(node, Items):
        return [_plain(item) for item in node.items]
    return [(_plain(key), _plain(value)) for key, value in node.entries] if isinstance(node, Entries) else node.why
