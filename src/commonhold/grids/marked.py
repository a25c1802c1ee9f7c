"""YAML as nodes that know where they stand, so that whatever is wrong is said by file, line and column. Pure.

Only the part of YAML 1.1 that people write by hand: no anchors, aliases or tags, one document, few levels. What is
wrong within a node is a `Bad` node in its place, for whoever reads the nodes around it to refuse.
docs/spec/known-servers.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from commonhold.formats.malformed import Malformed

MAX_FILE: Final = 4 << 20
MAX_DEPTH: Final = 8  # levels of a node that is read
MAX_NESTED: Final = 64  # of one that is passed over; a file with more is not read on

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, many times quicker
# Controls, what turns the direction of writing around, and what YAML counts as the end of a line though nobody sees it.
_STRANGE = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class Place(NamedTuple):
    """Where something stands: a file's name below the grid's directory, line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """What is wrong with a field, and where it stands."""

    place: Place
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.field}: {self.why}" if self.field else f"{self.place}: {self.why}"


class Wrong(Malformed):
    """A file, or a part of one, that is not what it should be."""

    def __init__(self, place: Place, field: str, why: str) -> None:
        super().__init__(field or place.file, why)
        self.problem = Problem(place, field, why)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as it is meant. `plain`: it stands without quotes. `start` and `end` count the file's characters."""

    text: str
    plain: bool
    place: Place
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list. `flow`: it is written in brackets. A block ends with its last item."""

    items: "tuple[Node, ...]"
    flow: bool
    place: Place
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A map, with all its entries, of which two may have one key."""

    entries: "tuple[tuple[Node, Node], ...]"
    flow: bool
    place: Place
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bad:
    """What stands here is not taken, and why."""

    why: str
    place: Place
    start: int
    end: int


Node: TypeAlias = Scalar | Items | Entries | Bad


def parse(file: str, data: bytes) -> Entries:
    """Return the map that a file is; one with no more than comments is an empty one. Wrong for what is none."""
    text = _text(file, data)
    start = Place(file, 1, 1)
    try:
        events = yaml.parse(text, _LOADER)
        found: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if found is not None:
                    raise Wrong(_place(file, event), "", "a second document: a file has one")
                found = _Composer(file, events).node(next(events), 0)
        if found is None:
            return Entries((), False, start, 0, 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(file, mark.line + 1, mark.column + 1) if mark else start
        raise Wrong(place, "", f"not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}") from error
    if not isinstance(found, Entries):
        raise Wrong(found.place, "", found.why if isinstance(found, Bad) else "not a map of clauses")
    return found


def _text(file: str, data: bytes) -> str:
    if len(data) > MAX_FILE:
        raise Wrong(Place(file, 1, 1), "", f"over {MAX_FILE >> 20} MiB")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Wrong(_place_at(file, data[: error.start].decode()), "", "not UTF-8") from error
    text = text.replace("\r\n", "\n") if "\r" in text else text
    strange = _STRANGE.search(text)
    if strange:
        where = _place_at(file, text[: strange.start()])
        raise Wrong(where, "", f"the character U+{ord(strange[0]):04X}, which is not to be seen")
    return text


def _place_at(file: str, before: str) -> Place:
    return Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _place(file: str, event: Any) -> Place:
    return Place(file, event.start_mark.line + 1, event.start_mark.column + 1)


class _Composer:
    """Nodes out of events. PyYAML's own knows no limit of depth, and takes a key twice."""

    def __init__(self, file: str, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events

    def node(self, event: Any, depth: int) -> Node:
        place = _place(self._file, event)
        start, end = event.start_mark.index, event.end_mark.index
        why = _refused(event, depth)
        if why:
            if isinstance(event, CollectionStartEvent):
                end = self._pass_over(depth, end)
            return Bad(why, place, start, end)
        if isinstance(event, ScalarEvent):
            return Scalar(event.value, event.implicit[0], place, start, end)
        children: list[Node] = []
        while not isinstance(event := next(self._events), CollectionEndEvent):
            children.append(self.node(event, depth + 1))
        return self._collection(place, start, children, event)

    def _collection(self, place: Place, start: int, children: list[Node], ended: Any) -> Node:
        flow = _closes(ended)
        end = ended.end_mark.index if flow else children[-1].end if children else start
        if isinstance(ended, SequenceEndEvent):
            return Items(tuple(children), flow, place, start, end)
        pairs = tuple(zip(children[::2], children[1::2], strict=True))
        return Entries(pairs, flow, place, start, end)

    def _pass_over(self, depth: int, end: int) -> int:
        """Leave out the rest of a collection; where it ends."""
        level = 1
        while level:
            event = next(self._events)
            level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth + level > MAX_NESTED:
                raise Wrong(_place(self._file, event), "", f"more than {MAX_NESTED} levels, one in the other")
            if not isinstance(event, CollectionEndEvent) or _closes(event):
                end = event.end_mark.index
        return end


def _closes(ended: Any) -> bool:
    """Whether a bracket stands where a collection ends."""
    return bool(ended.end_mark.index > ended.start_mark.index)


def _refused(event: Any, depth: int) -> str:
    if isinstance(event, AliasEvent):
        return "an alias: write it out"
    if event.anchor is not None:
        return "an anchor: nothing can refer to it"
    if event.tag is not None:
        return "a tag: types are known from the fields"
    if depth > MAX_DEPTH:
        return f"more than {MAX_DEPTH} levels"
    return ""
