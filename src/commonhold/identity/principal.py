"""Principals: who someone is everywhere, whatever uid they have on this host. Pure. docs/spec/identity.md.

`name@realm` is a user or a group by its name; `scheme:value@realm` is known in some other way, such as by a SID, and
kept as it is. A name is any bytes: what is not plain is written %XX, in one way only, so that two names never become
one and the text is safe as a file's name, in a terminal and in a config. Source: DESIGN §8; the form of RFC 8881 §5.9.
"""

import re
from typing import NamedTuple, NewType

from commonhold.formats.malformed import Malformed

Principal = NewType("Principal", str)

NOBODY = Principal("nobody")  # the only one without a realm; whoever has no other
MAX_NAME = 190  # characters, with a scheme; a name of 32 bytes has 96 when all are escaped
MAX_REALM = 64
MAX_PRINCIPAL = MAX_NAME + 1 + MAX_REALM  # 255

_REALM = re.compile("[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_FIRST = "[A-Za-z0-9_]|%[0-9A-F]{2}"  # no name is an option, nor hidden, nor `..`
_NAME = re.compile(rf"(?:([a-z][a-z0-9]{{0,15}}):)?((?:{_FIRST})(?:[.$+-]|{_FIRST})*)")
_ESCAPED = re.compile(rb"^[^A-Za-z0-9_]|[^A-Za-z0-9_.$+-]")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")


class Parts(NamedTuple):
    """What a principal is made of; the scheme of a name is empty."""

    scheme: str
    name: str  # as it is written
    realm: str


def parse(text: str) -> Principal:
    """Return the principal that a stranger names."""
    if text != NOBODY:
        split(text)
    return Principal(text)


def split(text: str) -> Parts:
    """Return the parts of what has a realm."""
    name, at, realm = text.partition("@")
    if not at or len(name) > MAX_NAME:
        raise Malformed("principal", f"not a name of up to {MAX_NAME} characters, @ and a realm")
    found = _NAME.fullmatch(name)
    if found is None or _escaped(_unescaped(found[2])) != found[2]:
        raise Malformed("principal", "a name that is not written as names are")
    return Parts(found[1] or "", found[2], check_realm(realm))


def check_realm(text: str) -> str:
    """Return a realm: small letters, digits, dots and hyphens, as in the names of hosts."""
    if len(text) > MAX_REALM or not _REALM.fullmatch(text):
        raise Malformed("realm", f"not up to {MAX_REALM} small letters, digits, dots and hyphens")
    return text


def named(name: bytes, realm: str) -> Principal | None:
    """Return the principal that has a name of the realm's user database; None if the name is too long or empty."""
    escaped = _escaped(name)
    return Principal(f"{escaped}@{realm}") if 0 < len(escaped) <= MAX_NAME else None


def name_in(principal: Principal, realm: str) -> bytes | None:
    """Return the name that a principal has in the user database of a realm; None if it is not of that realm."""
    if principal == NOBODY:
        return None
    scheme, name, its_realm = split(principal)
    return _unescaped(name) if its_realm == realm and not scheme else None


def _escaped(name: bytes) -> str:
    return _ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], name).decode("ascii")


def _unescaped(name: str) -> bytes:
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), name.encode("ascii"))
