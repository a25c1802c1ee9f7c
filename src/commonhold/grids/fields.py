"""The fields of a map in a file: each is asked for with its type and limits, and refused by its place. Pure."""

import base64
from collections.abc import Callable
from typing import TypeVar

from commonhold.formats import instant
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.grids.clauses import Marked
from commonhold.grids.marked import Bad, Entries, Items, Node, Place, Scalar, Wrong

S = TypeVar("S")
T = TypeVar("T")

_SHORT = 10
_OF_ITSELF = frozenset(("server", "pin", "key", "purpose", "grid", "blessings", "classes"))
_WHO = "who a server is cannot be overridden: that is its pin, which is the clause's name, and what is signed"
_BOOLEANS = {"true": True, "false": False}


def shown(server: SpkiPin) -> str:
    """A pin as far as people need it to tell one server from others."""
    return f"{str(server)[:_SHORT]}…"


class Table:
    """The fields of one map. `path` is what leads there, for errors; `known` the names that it may have, None: any."""

    def __init__(self, path: str, node: Node, known: frozenset[str] | None) -> None:
        if not isinstance(node, Entries):
            raise Wrong(node.place, path, node.why if isinstance(node, Bad) else "not a map of fields")
        self.path = path
        self.place = node.place
        self._found: dict[str, Node] = {}
        for key, value in node.entries:
            if not isinstance(key, Scalar):
                raise Wrong(key.place, path, key.why if isinstance(key, Bad) else "a field's name is a text")
            if known is not None and key.text not in known:
                why = _WHO if key.text in _OF_ITSELF else f"no such field here: {', '.join(sorted(known))}"
                raise Wrong(key.place, self.below(key.text[:60]), why)
            if key.text in self._found:
                raise Wrong(key.place, self.below(key.text[:60]), "stands there twice")
            self._found[key.text] = value

    @property
    def names(self) -> frozenset[str]:
        """The fields that it has."""
        return frozenset(self._found)

    def below(self, name: str) -> str:
        """What leads to a field."""
        return f"{self.path}.{name}"

    def get(self, name: str) -> Node | None:
        """A field as it stands."""
        return self._found.get(name)

    def wrong(self, name: str, why: str) -> Wrong:
        """Return the error for a field."""
        return Wrong(self._found[name].place, self.below(name), why)

    def needed(self, name: str, found: T | None) -> T:
        """A field that has to be there."""
        if found is None:
            raise Wrong(self.place, self.below(name), "missing")
        return found

    def made(self, name: str, value: S, place: Place, make: Callable[[S], T]) -> T:
        """What a decoder makes of a field."""
        try:
            return make(value)
        except Malformed as error:
            raise Wrong(place, self.below(name), error.why) from error

    def text(self, name: str, most: int) -> Marked[str] | None:
        """A text of 1 to `most` characters that can be printed; None where there is no such field."""
        node = self._found.get(name)
        return None if node is None else self._text(name, node, most)

    def _text(self, name: str, node: Node, most: int) -> Marked[str]:
        if isinstance(node, Bad):
            raise Wrong(node.place, self.below(name), node.why)
        if not isinstance(node, Scalar) or not 0 < len(node.text) <= most or not node.text.isprintable():
            raise Wrong(node.place, self.below(name), f"no text of 1 to {most} characters that can be printed")
        return Marked(node.text, node.place)

    def boolean(self, name: str) -> Marked[bool] | None:
        """`true` or `false`."""
        node = self._found.get(name)
        if node is None:
            return None
        if isinstance(node, Scalar) and node.plain and node.text in _BOOLEANS:
            return Marked(_BOOLEANS[node.text], node.place)
        raise Wrong(node.place, self.below(name), "neither true nor false")

    def time(self, name: str) -> Marked[int] | None:
        """A time such as 2026-11-21T20:07:00Z, in whole seconds since 1970."""
        found = self.text(name, 40)
        if found is None:
            return None
        return Marked(self.made(name, found.value, found.place, instant.parse_rfc3339) // instant.SECOND, found.place)

    def texts(self, name: str, count: int, most: int) -> Marked[tuple[Marked[str], ...]] | None:
        """A list of up to `count` texts."""
        node = self._found.get(name)
        if node is None:
            return None
        if not isinstance(node, Items) or len(node.items) > count:
            why = node.why if isinstance(node, Bad) else f"no list of up to {count}"
            raise Wrong(node.place, self.below(name), why)
        return Marked(tuple(self._text(name, item, most) for item in node.items), node.place)

    def base64(self, name: str, most: int) -> Marked[bytes] | None:
        """Up to `most` bytes, in base64 (RFC 4648 §4), which may be folded."""
        node = self._found.get(name)
        return None if node is None else self._base64(name, node, most)

    def several(self, name: str, count: int, most: int) -> tuple[Marked[bytes], ...]:
        """A list of up to `count` of these; an empty one where there is none."""
        node = self._found.get(name)
        if node is None:
            return ()
        if not isinstance(node, Items) or len(node.items) > count:
            why = node.why if isinstance(node, Bad) else f"no list of up to {count}"
            raise Wrong(node.place, self.below(name), why)
        return tuple(self._base64(name, item, most) for item in node.items)

    def _base64(self, name: str, node: Node, most: int) -> Marked[bytes]:
        if isinstance(node, Bad):
            raise Wrong(node.place, self.below(name), node.why)
        try:
            raw = base64.b64decode("".join(node.text.split()), validate=True) if isinstance(node, Scalar) else b""
        except ValueError:
            raw = b""
        if not 0 < len(raw) <= most:
            raise Wrong(node.place, self.below(name), f"not 1 to {most} bytes in base64")
        return Marked(raw, node.place)
