"""Named fields of what a stranger sent: each is asked for with its type and limits. Pure.

A map of dag-cbor. Fields that nobody asks for are passed over, so that what is newer than its reader can be read.
"""

from itertools import pairwise
from typing import Any, Final, TypeGuard, TypeVar

from commonhold.formats import dagcbor
from commonhold.formats.malformed import Malformed

MAX_NUMBER: Final = (1 << 63) - 1
MAX_FIELDS: Final = 64

_T = TypeVar("_T", bound=bytes)


def plain(value: Any) -> TypeGuard[bytes]:
    """Whether a value is bytes, and no link: a CID is bytes here, too, but would be written in another way."""
    return type(value) is bytes


def made(**fields: Any) -> bytes:
    """Return the bytes of these fields; those that are None are left out."""
    return dagcbor.encode({name: value for name, value in fields.items() if value is not None})


class Fields:
    """The fields of a map. Every question is answered, or Malformed: the field is missing, or beyond its limits."""

    def __init__(self, what: str, data: bytes) -> None:
        found = dagcbor.decode(data)
        if not isinstance(found, dict) or len(found) > MAX_FIELDS:
            raise Malformed(what, f"not a map of up to {MAX_FIELDS} fields")
        self._what = what
        self._found = found

    def has(self, name: str) -> bool:
        """Whether there is such a field."""
        return name in self._found

    def refuse(self, why: str) -> Malformed:
        """Return the error for fields that do not go together."""
        return Malformed(self._what, why)

    def number(self, name: str, most: int = MAX_NUMBER) -> int:
        """A whole number from 0."""
        value = self._found.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self.refuse(f"{name} is no number from 0 to {most}")
        return value

    def text(self, name: str, most: int) -> str:
        """A text of 1 to `most` characters, all of which can be printed."""
        return self._text(name, self._found.get(name), most)

    def _text(self, name: str, value: Any, most: int) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
            raise self.refuse(f"{name} is no text of 1 to {most} characters that can be printed")
        return value

    def texts(self, name: str, count: int, most: int) -> tuple[str, ...]:
        """Up to `count` texts, none twice."""
        value = self._list(name, count)
        found = tuple(self._text(name, item, most) for item in value)
        if len(set(found)) != len(found):
            raise self.refuse(f"{name} names something twice")
        return found

    def true(self, name: str) -> bool:
        """True, and nothing else: what is not so is left out."""
        if self._found.get(name) is not True:
            raise self.refuse(f"{name} is not true, and is left out where it is not so")
        return True

    def exactly(self, name: str, length: int, made: type[_T]) -> _T:
        """So many bytes, as a type of theirs."""
        value = self._found.get(name)
        if not plain(value) or len(value) != length:
            raise self.refuse(f"{name} is not {length} bytes")
        return made(value)

    def raw(self, name: str, most: int) -> bytes:
        """Up to `most` bytes."""
        value = self._found.get(name)
        if not plain(value) or len(value) > most:
            raise self.refuse(f"{name} is not up to {most} bytes")
        return value

    def several(self, name: str, count: int, most: int) -> tuple[bytes, ...]:
        """Up to `count` times up to `most` bytes."""
        value = self._list(name, count)
        if not all(plain(item) and len(item) <= most for item in value):
            raise self.refuse(f"{name} is not of bytes, up to {most} each")
        return tuple(value)

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """Up to `count` whole numbers from 0."""
        value = self._list(name, count)
        if not all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= MAX_NUMBER for item in value):
            raise self.refuse(f"{name} is not of numbers from 0 to {MAX_NUMBER}")
        return tuple(value)

    def ascending(self, name: str, count: int) -> tuple[int, ...]:
        """The same, each greater than the one before."""
        value = self.numbers(name, count)
        if any(a >= b for a, b in pairwise(value)):
            raise self.refuse(f"{name} does not ascend")
        return value

    def _list(self, name: str, count: int) -> list[Any]:
        value = self._found.get(name)
        if not isinstance(value, list) or len(value) > count:
            raise self.refuse(f"{name} is no list of up to {count}")
        return value
