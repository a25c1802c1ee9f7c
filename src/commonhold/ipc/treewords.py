"""A tree's calls on the wire between a mount and an agent, as `trees` has them. docs/spec/mount.md.

There is one definition of every call: the Protocols of `trees`. Both ends read it from there. A call's payload, its
argument that is a memoryview or its result that is bytes, goes beside the rest and is not copied into it.
"""

import inspect
import struct
from enum import IntEnum
from typing import Any, NamedTuple, get_type_hints

import msgspec

from commonhold.trees import MAX_IO, Locking, Tree

PROTOCOL = 1
HEAD = struct.Struct("<IIQHBB")  # bytes of the body, bytes of the payload, id, call or errno, tree, flags
MAX_BODY = 2 << 20
MAX_PAYLOAD = MAX_IO
RESENT = 1  # a flag: the call may have come before, by a connection that was lost
NOTICE = 0  # as an id: nobody asked


class Which(IntEnum):
    """The trees that an agent may serve."""

    VOLUME = 0
    IPFS = 1
    IPNS = 2


class Hello(NamedTuple):
    """What an agent says first."""

    protocol: int
    version: str


class Welcome(NamedTuple):
    """What the mount says to that: which trees it wants, and who their user is. `epoch` is the same as long as the
    kernel's mount is, whatever becomes of the processes that serve it; and with it the ids of its calls."""

    protocol: int
    epoch: bytes
    trees: list[Which]
    owner: str


class Call(NamedTuple):
    """A call: its number, how what it is given and what it gives is read, and what of that is the payload."""

    number: int
    name: str
    given: "msgspec.msgpack.Decoder[Any]"
    payload: int | None  # the place of a payload among what is given
    result: "msgspec.msgpack.Decoder[Any] | None"  # None: nothing, or the payload
    gives: bool  # the result is a payload
    lock: bool  # of `trees.Locking`


def _read(number: int, name: str, method: Any, lock: bool) -> Call:
    hints = get_type_hints(method)
    result = hints.pop("return")
    given = [hints[name] for name in inspect.signature(method).parameters if name != "self"]
    payload = given.index(memoryview) if memoryview in given else None
    plain = tuple(kind for kind in given if kind is not memoryview)
    kind: Any = tuple[plain] if plain else tuple[()]  # type: ignore[valid-type]
    decoder = None if result in (bytes, type(None)) else msgspec.msgpack.Decoder(result)
    return Call(number, name, msgspec.msgpack.Decoder(kind), payload, decoder, result is bytes, lock)


def _methods(protocol: type) -> list[tuple[str, Any]]:
    return [(name, found) for name, found in vars(protocol).items() if inspect.isfunction(found) and name[0] != "_"]


def _table() -> tuple[Call, ...]:
    found = [(name, method, False) for name, method in _methods(Tree) if name != "cached"]
    found += [(name, method, True) for name, method in _methods(Locking)]
    return tuple(_read(number, *one) for number, one in enumerate(found, 1))


CALLS = _table()
BY_NUMBER = {call.number: call for call in CALLS}
BY_NAME = {call.name: call for call in CALLS}
HELLO = 0  # as a call


class Notice(IntEnum):
    """What an agent says unasked."""

    OBJECT = 1  # [number]: its attributes and its content are no longer what they were
    NAME = 2  # [parent, name]: what it led to is over
    NAMELESS = 3  # [number]: it has no name; if the kernel does not know it, it may be forgotten


encode = msgspec.msgpack.Encoder().encode
