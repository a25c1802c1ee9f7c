"""The agent's calls: each has a place on the wire, comes through it unchanged, and is there in the agent itself."""

import inspect
import os
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonhold import calls
from commonhold.agent.local import LocalAgent
from commonhold.agent.service import _Telling
from commonhold.blockstore.store import Store, create
from commonhold.calls import Open, OsPath
from commonhold.cli.embedded import Embedded
from commonhold.cli.watching import Watch
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.ipc.agentwords import ROOMS, Coming, Hello, Table, Welcome
from commonhold.ipc.frames import Message
from tests.examples import examples

CALLS = [
    f"{room}.{name}"
    for room, protocol in ROOMS.items()
    for name, found in inspect.getmembers(protocol, inspect.isfunction)
    if not name.startswith("_")
]
TOLD = [name for name, _ in inspect.getmembers(calls.Watcher, inspect.isfunction) if not name.startswith("_")]
TEXT = st.text(max_size=20)
SHA = st.binary(max_size=8).map(multihash.sha2_256)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: TEXT,
    bytes: st.binary(max_size=50),
    bool: st.booleans(),
    NoneType: st.none(),
    None: st.none(),
    Any: st.none() | TEXT,
    Multihash: SHA,
    Cid: SHA.map(lambda key: cids.make_v1(cids.RAW, key)),
    OsPath: st.binary(max_size=20).filter(lambda raw: b"\0" not in raw).map(os.fsdecode).map(OsPath),
    Open: TEXT.map(lambda said: Open(0, said)),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that a call has. Whoever gives a call another kind of type teaches it to the wire first."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, inner))
    if origin is list:
        return st.lists(values(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=3)
    if origin is tuple and inner[1:] == (...,):
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, inner))
    hints = get_type_hints(kind)
    if is_dataclass(kind):
        made: Any = kind
        return st.builds(made, **{field.name: values(hints[field.name]) for field in fields(kind)})
    assert issubclass(kind, tuple), f"{kind} has no form on the wire"
    return st.builds(kind, **{name: values(hints[name]) for name in kind._fields})


def through(kind: Any, value: Any) -> Any:
    """A value as the other end has it."""
    files: list[int] = []

    def plain(one: Any) -> Any:
        if isinstance(one, Open):
            files.append(one.fd)
            return len(files) - 1, one.said
        return os.fsencode(one) if isinstance(one, OsPath) else bytes(one)

    said = msgspec.msgpack.decode(msgspec.msgpack.encode([value], enc_hook=plain), type=list)
    return Message(said, files, 0).value(kind, said[0])


def comparable(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(one.said if isinstance(one, Open) else one for one in value)
    return value


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
@settings(deadline=None, max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])
def test_a_calls_arguments_and_its_result_come_through(name: str, data: st.DataObject) -> None:
    call = Table().call(name)
    assert call is not None
    for kind in (call.given, call.result):
        value = data.draw(values(kind))
        assert comparable(through(kind, value)) == comparable(value)


@pytest.mark.parametrize("name", TOLD)
@given(data=st.data())
@settings(deadline=None, max_examples=examples(15))
def test_what_a_watcher_is_told_comes_through(name: str, data: st.DataObject) -> None:
    told = Table().told(name)
    assert told is not None
    value = data.draw(values(told.given))
    assert through(told.given, value) == value


@pytest.mark.parametrize("kind", [Coming, Hello, Welcome])
@given(data=st.data())
@settings(deadline=None, max_examples=examples(15))
def test_the_first_words_and_their_answer_come_through(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert comparable(through(kind, value)) == comparable(value)


def test_every_room_of_an_agent_has_its_calls_on_the_wire() -> None:
    rooms = {
        name: get_type_hints(found.fget)["return"]
        for name, found in vars(calls.Agent).items()
        if isinstance(found, property)
    }
    assert rooms == ROOMS
    assert len(CALLS) == len(set(CALLS)) > 20


def test_what_is_no_call_has_none() -> None:
    table = Table()
    for name in (
        "",
        "files",
        "files.",
        ".add",
        "files.no",
        "add",
        "files.__init__",
        "files._find",
        "open",
        "Files.add",
    ):
        assert table.call(name) is None
    assert table.told("close") is None and table.told("files.add") is None


def test_whether_a_call_is_watched_or_gives_a_stream_is_read_from_its_definition() -> None:
    table = Table()
    known = {name: call for name in CALLS if (call := table.call(name)) is not None}
    streams = {"files.listing", "pins.all", "pins.keys", "tree.listing", "history.all"}
    assert {name for name, call in known.items() if call.stream} == streams
    assert "files.add" in {name for name, call in known.items() if call.watched}
    for name, call in known.items():
        assert not (call.stream and call.watched), name  # the client watches none that gives a stream
        assert calls.Watcher not in get_args(call.given), name


def test_the_agent_has_each_call_with_the_same_parameters_and_no_other(tmp_path: Path) -> None:
    create(tmp_path / "repo")
    with Store(tmp_path / "repo") as store, closing(Embedded(tmp_path / "repo", store)) as opened:
        agent = LocalAgent(opened)
        for room, protocol in ROOMS.items():
            own = type(getattr(agent, room))
            public = {name for name, _ in inspect.getmembers(own, inspect.isfunction) if not name.startswith("_")}
            assert {f"{room}.{name}" for name in public} == {name for name in CALLS if name.startswith(f"{room}.")}
            for name in public:
                wanted, found = (inspect.signature(getattr(one, name)) for one in (protocol, own))
                assert list(found.parameters) == list(wanted.parameters), (room, name)
                assert all(one.default is one.empty for one in found.parameters.values()), (room, name)


@pytest.mark.parametrize("kind", [Watch, _Telling])
@pytest.mark.parametrize("name", [name for name in TOLD if name != "bytes"])
def test_each_watcher_takes_what_there_is_to_be_told(kind: type, name: str) -> None:
    wanted, found = (inspect.signature(getattr(one, name)) for one in (calls.Watcher, kind))
    assert list(found.parameters) == list(wanted.parameters)
