"""A tree's calls on the wire: their numbers are for good, and what they are given and give comes through."""

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.ipc.treewords import (
    BY_NAME,
    BY_NUMBER,
    CALLS,
    HEAD,
    HELLO,
    MAX_BODY,
    MAX_PAYLOAD,
    PROTOCOL,
    RESENT,
    Hello,
    Notice,
    Welcome,
    Which,
    encode,
)
from commonhold.trees import MAX_IO, MAX_TARGET, MAX_XATTR, Locking, Tree
from tests.examples import examples
from tests.fakes.trees import MemoryTree

PAGE = (Path(__file__).parents[2] / "docs/spec/mount.md").read_text()
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 63), (1 << 64) - 1),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=300),
    bool: st.booleans(),
    NoneType: st.none(),
    Which: st.sampled_from(Which),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that a call has."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, inner))
    if origin is list:
        return st.lists(values(inner[0]), max_size=3)
    assert issubclass(kind, tuple), f"{kind} has no form on the wire"
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in kind._fields})


def method(name: str) -> dict[str, Any]:
    """What a call is given, by its definition, and what it gives as "return"."""
    return get_type_hints(getattr(Tree, name, None) or getattr(Locking, name))


def test_the_numbers_of_the_calls_are_those_on_the_page() -> None:
    """A call that comes later has the next number, or the protocol another."""
    written = re.search(r"numbered in their order there \(([^)]*)\)", PAGE)
    assert written is not None
    assert written[1].split() == ", ".join(f"{call.number} {call.name}" for call in CALLS).split()
    first = "lookup make link unlink rmdir rename listing parent forget attr change target xattr xattrs set_xattr"
    assert [call.name for call in CALLS][:15] == first.split() and PROTOCOL == 1
    assert [BY_NAME[name].number for name in ("read", "write", "sync", "room", "lock", "released")] == [
        18, 19, 23, 24, 26, 29,
    ]  # fmt: skip
    assert HELLO == 0 and set(BY_NUMBER) == {call.number for call in CALLS} == set(range(1, 30))


def test_the_numbers_of_trees_notices_and_flags_are_those_of_this_protocol() -> None:
    assert [(which.name, int(which)) for which in Which] == [("VOLUME", 0), ("IPFS", 1), ("IPNS", 2)]
    assert [(notice.name, int(notice)) for notice in Notice] == [("OBJECT", 1), ("NAME", 2), ("NAMELESS", 3)]
    assert RESENT == 1 and HEAD.size == 20
    assert HEAD.pack(1, 2, 3, 4, 5, 6) == bytes.fromhex("01000000 02000000 0300000000000000 0400 05 06")


@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
@given(data=st.data())
@settings(deadline=None, max_examples=examples(20))
def test_what_a_call_is_given_and_what_it_gives_comes_through(call: Any, data: st.DataObject) -> None:
    hints = method(call.name)
    result = hints.pop("return")
    assert call.payload == (list(hints.values()).index(memoryview) if memoryview in hints.values() else None)
    said = tuple(data.draw(values(kind)) for kind in hints.values() if kind is not memoryview)
    assert call.given.decode(encode(said)) == said
    assert call.gives == (result is bytes) and call.lock == hasattr(Locking, call.name)
    if call.result is not None:
        answer = data.draw(values(result))
        assert call.result.decode(encode(answer)) == answer
    else:
        assert result in (bytes, NoneType)


@pytest.mark.parametrize("kind", [Hello, Welcome])
@given(data=st.data())
def test_the_first_words_come_through(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert msgspec.msgpack.decode(encode(value), type=kind) == value


def test_whatever_a_tree_may_say_fits_a_frame() -> None:
    assert MAX_PAYLOAD == MAX_IO > MAX_XATTR > MAX_TARGET
    assert len(encode((1, b"n" * 255, b"v" * MAX_XATTR, 0))) < MAX_BODY
    entry = (b"n" * 255, 1 << 62, 1 << 47, 0o100644, (1 << 63,) * 3 + ("p" * 255,) * 2 + (1 << 63,) * 7)
    assert len(encode([entry] * 1024)) < MAX_BODY  # as many as a desk asks for
    assert len(encode(([1 << 47] * 1024,))) < MAX_BODY


def test_a_tree_has_each_of_the_calls_and_says_of_its_slow_ones_what_they_are() -> None:
    calls = {call.name for call in CALLS if not call.lock}
    assert all(callable(getattr(MemoryTree, name)) for name in calls)
    assert MemoryTree.slow <= calls
