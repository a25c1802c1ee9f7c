"""The fields of what callers say, and a pin as they are told of it. INVALID for what is no such field."""

from collections.abc import Mapping
from typing import Any

from commonhold.api import MAX_USER, PUBLIC, Pin
from commonhold.blockstore.session import check_name
from commonhold.errors import HoldError, Kind


def name(said: Mapping[str, Any], field: str) -> str:
    """The name of a retain set."""
    name = text(said, field)
    check_name(name)
    return name


def text(said: Mapping[str, Any], name: str) -> str:
    """A field that is a text."""
    value = said.get(name)
    if not isinstance(value, str):
        raise HoldError("call", Kind.INVALID, name, "not a text")
    return value


def number(said: Mapping[str, str], name: str) -> int | None:
    """A number of bytes, if there is one."""
    value = said.get(name)
    if value is not None and not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise HoldError("call", Kind.INVALID, name, "not a number of bytes")
    return None if value is None else int(value)


def readers(said: Any) -> list[int]:
    """uids, or `public`."""
    if not isinstance(said, list) or len(said) > 255:
        raise HoldError("call", Kind.INVALID, "readers", "not a list of up to 255")
    found = []
    for one in said:
        if one != "public" and (isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= MAX_USER):
            raise HoldError("call", Kind.INVALID, "readers", "neither a uid nor 'public'")
        found.append(PUBLIC if one == "public" else one)
    return found


def described(pin: Pin) -> dict[str, Any]:
    """A pin as callers are told of it."""
    readers = ["public" if one == PUBLIC else one for one in pin.readers]
    return pin._asdict() | {"root": str(pin.root), "readers": readers}
