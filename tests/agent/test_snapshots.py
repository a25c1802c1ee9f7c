"""Snapshots of real volumes over a real store: what was comes back, whatever it was and whatever happens meanwhile."""

import errno
import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonhold.agent import history, tracing
from commonhold.agent.changing import Changes
from commonhold.agent.chronicle import Chronicle
from commonhold.blockstore import reclaim
from commonhold.errors import HoldError, Kind
from commonhold.trees import MAX_SIZE, ROOT, Change, Who
from commonhold.volume.pieces import CHUNK
from commonhold.volume.point import Point
from commonhold.volume.volume import Volume
from tests.agent.owning import ME, Home
from tests.examples import examples

FILE, DIRECTORY, LINK, PIPE, DEVICE = 0o100644, 0o040755, 0o120777, 0o010600, 0o020600


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has just been changed is remembered, too."""
    monkeypatch.setattr(tracing, "SETTLED_NS", -(1 << 62))


def make(volume: Volume, parent: int, name: bytes, mode: int, target: bytes = b"", device: int = 0) -> int:
    return volume.make(parent, name, mode, device, target, ME, True).number


def write(volume: Volume, number: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        done = volume.write(number, offset, view, False, False)
        offset, view = offset + done, view[done:]


# ── what was comes back ──

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"\xff", b"\\xff", "ä".encode(), b"~" + b"0" * 32]),
    st.binary(min_size=1, max_size=255).filter(lambda name: name not in (b".", b"..") and not {0, 47} & set(name)),
)
PRINCIPALS = st.sampled_from(["alice@family", "bob@family", "nobody"])
CHANGES = st.tuples(st.integers(0, 0o7777), PRINCIPALS, PRINCIPALS, st.integers(-(1 << 62), 1 << 62)).map(
    lambda given: Change(*given[:3], modified=given[3])
)
WRITES = st.lists(
    st.tuples(st.sampled_from([0, 1, 4095, CHUNK - 1, CHUNK, 3 * CHUNK, 1 << 41]), st.sampled_from([1, 5000, CHUNK])),
    max_size=3,
)
OBJECTS = st.tuples(
    st.integers(0, 1 << 20),
    NAMES,
    st.sampled_from([FILE, FILE, FILE, DIRECTORY, DIRECTORY, LINK, PIPE, DEVICE]),
    CHANGES,
    WRITES,
    st.dictionaries(st.sampled_from([b"user.a", b"user.\xff", b"trusted.b"]), st.binary(max_size=100), max_size=2),
    st.integers(0, 3),
)


def build(volume: Volume, directory: int, objects: list[Any]) -> None:
    """Make all of these below a directory; what can't be made is left out."""
    directories = [directory]
    later: list[tuple[int, Change]] = []
    for seed, name, mode, change, writes, xattrs, links in objects:
        parent = directories[seed % len(directories)]
        target = b"\xfe/target" if links else b"target"
        try:
            number = make(volume, parent, name, mode, target if mode == LINK else b"", 0x105 if mode == DEVICE else 0)
        except FileExistsError:
            continue
        if mode == DIRECTORY:
            directories.append(number)
        if mode == FILE:
            for offset, length in writes:
                write(volume, number, offset, random.Random(seed).randbytes(length))
            volume.change(number, Change(size=volume.attr(number).size + seed % 2))
        for key, value in xattrs.items():
            volume.set_xattr(number, key, value, 0)
        for count in range(links if mode != DIRECTORY else 0):
            other = directories[(seed + count) % len(directories)]
            try:
                volume.link(number, other, b"%d" % (seed + count))
            except FileExistsError:
                continue
        later.append((number, change))
    for number, change in later:
        volume.change(number, change)


@pytest.mark.slow
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=st.lists(OBJECTS, max_size=8), second=st.lists(OBJECTS, max_size=4), plain=st.booleans(), root=CHANGES)
def test_any_tree_comes_back_as_it_was(
    home: Home, remembering: None, first: list[Any], second: list[Any], plain: bool, root: Change
) -> None:
    volume = home.volume
    for name in (b"tree", b"back"):
        if name in {item.name for item in volume.listing(ROOT, 0, 100, False)}:
            remove(volume, ROOT, name)
    top = make(volume, ROOT, b"tree", DIRECTORY)
    build(volume, top, first)
    volume.change(top, root)
    before = home.look("/hold/me/tree")
    try:
        home.shoot("/hold/me/tree", name="first", plain=plain)
        build(volume, top, second)
        volume.settle()
        after = home.look("/hold/me/tree")
        home.shoot("/hold/me/tree", name="second", plain=plain)
        home.restore("second", to="/hold/me/back")
        assert home.look("/hold/me/back") == after
        home.restore("first", to="/hold/me/back")
        assert home.look("/hold/me/back") == before
        home.restore("first")
        assert home.look("/hold/me/tree") == before
        assert list(volume.verify()) == []
    finally:
        for one in home.names():
            home.history.remove(one)


def remove(volume: Volume, parent: int, name: bytes) -> None:
    found = volume.lookup(parent, name)
    if found.mode & 0o170000 == 0o040000:
        while items := volume.listing(found.number, 0, 100, False):
            for item in items:
                remove(volume, found.number, item.name)
        volume.rmdir(parent, name)
    else:
        volume.unlink(parent, name)
    volume.forget([found.number])


def test_the_root_itself_comes_back_and_what_was_made_since_is_in_a_snapshot(home: Home) -> None:
    volume = home.volume
    build(volume, ROOT, [(7, b"file", FILE, Change(mode=0o4751), [(0, 10)], {b"user.a": b"1"}, 1)])
    volume.set_xattr(ROOT, b"user.root", b"x", 0)
    volume.change(ROOT, Change(mode=0o2750, owner="bob@family", modified=5))
    before = home.look("/hold/me")
    home.shoot(name="one")
    remove(volume, ROOT, b"file")
    make(volume, ROOT, b"later", DIRECTORY)
    volume.remove_xattr(ROOT, b"user.root")
    since = home.look("/hold/me")
    way_back = home.restore("one")
    assert way_back is not None and home.look("/hold/me") == before
    home.restore(way_back)
    assert home.look("/hold/me") == since
    assert list(volume.verify()) == []


@pytest.mark.parametrize("mode", [FILE, PIPE, LINK])
def test_what_has_several_names_comes_back_whole_by_any_of_them(home: Home, mode: int) -> None:
    first, second = (make(home.volume, ROOT, name, DIRECTORY) for name in (b"a", b"b"))
    home.volume.change(second, Change(owner="bob@family", group="bob@family"))
    one = make(home.volume, first, b"one", mode, b"target" if mode == LINK else b"")
    home.volume.set_xattr(one, b"user.a", b"1", 0)
    if mode == FILE:
        home.volume.change(one, Change(size=5 * CHUNK, mode=0o4700))
    home.volume.link(one, second, b"two")
    home.shoot(name="s")
    seen = home.look("/hold/me/a/one")
    home.restore("s", "b", to="/hold/me/back")
    assert home.look("/hold/me/back/two") == {name: what for name, what in seen.items() if name != "same"}


@pytest.mark.usefixtures("remembering")
def test_holes_cost_nothing_however_large(home: Home) -> None:
    file = make(home.volume, ROOT, b"huge", FILE)
    write(home.volume, file, 5 * CHUNK + 3, b"data")
    home.volume.change(file, Change(size=MAX_SIZE))
    seen = home.look("/hold/me/huge")
    entry = home.shoot("/hold/me/huge")
    assert entry.size == MAX_SIZE
    home.restore(entry.name, to="/hold/me/again")
    assert home.look("/hold/me/again") == {**seen, "modified": home.look("/hold/me/again")["modified"]}
    assert home.look("/hold/me/again")["modified"] == seen["modified"]


# ── what is stored is not read ──


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The objects that are read from now on."""
    found: list[int] = []
    original = Point.read

    def read(self: Point, number: int, start: int, stop: int) -> bytes:
        found.append(number)
        return original(self, number, start, stop)

    monkeypatch.setattr(Point, "read", read)
    return found


def test_stored_leaves_are_taken_as_they_are(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(home.volume, ROOT, b"large", FILE)
    content = random.Random(1).randbytes(4 * CHUNK)
    write(home.volume, file, 0, content)
    home.volume.settle()
    before = home.store.usage().bytes
    read = reads(monkeypatch)
    entry = home.shoot("/hold/me/large")
    assert not read and home.store.usage().bytes < before + 10_000
    fetched: list[int] = []
    monkeypatch.setattr(Volume, "write", lambda *_: fetched.append(1))
    home.restore(entry.name, to="/hold/me/again")
    assert not fetched and home.look("/hold/me/again")["data"] == [(0, content)]


def test_what_has_not_changed_is_neither_read_nor_woven_again(
    home: Home, remembering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = make(home.volume, ROOT, b"tree", DIRECTORY)
    files = [make(home.volume, top, b"%d" % number, FILE) for number in range(20)]
    for file in files:
        write(home.volume, file, 0, b"%d" % file)
    first = home.shoot()
    read = reads(monkeypatch)
    assert home.shoot().root == first.root and not read
    write(home.volume, files[3], 0, b"new")
    assert home.shoot().root != first.root and read == [files[3]]


@pytest.mark.parametrize("length", [7, CHUNK, 3 * CHUNK])
def test_what_a_kernel_writes_late_is_noticed_though_no_time_tells(
    home: Home, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """The time may come before the content, or be there when the content changes for the second time."""
    file = make(home.volume, ROOT, b"file", FILE)
    write(home.volume, file, 0, bytes(length))
    home.volume.change(file, Change(modified=7, changed=7))
    told = home.volume.attr(file)
    roots = {home.shoot().root}
    for count in (1, 2, 3):
        assert home.volume.write(file, length - count, memoryview(b"%d" % count), False, True) == 1
        assert home.volume.attr(file)._replace(blocks=0) == told._replace(blocks=0)
        roots.add(home.shoot().root)
    assert len(roots) == 4
    read = reads(monkeypatch)
    assert home.shoot().root in roots and not read


@pytest.mark.parametrize("plain", [False, True])
def test_what_is_remembered_and_gone_is_woven_again(home: Home, remembering: None, plain: bool) -> None:
    file = make(home.volume, ROOT, b"file", FILE)
    write(home.volume, file, 0, b"content")
    seen = home.look("/hold/me/file")
    home.shoot(name="one", plain=plain)
    home.history.remove("one")
    reclaim.collect(home.store)
    home.shoot(name="two", plain=plain)
    remove(home.volume, ROOT, b"file")
    home.restore("two", "file")
    assert home.look("/hold/me/file") == seen


# ── while others write ──


@pytest.mark.slow
def test_a_snapshot_while_others_write_is_a_state_that_was(home: Home) -> None:
    volume, stop = home.volume, threading.Event()
    first, second = (make(volume, ROOT, name, FILE) for name in (b"first", b"second"))
    make(volume, ROOT, b"0", DIRECTORY)
    length = CHUNK + 4096

    def work() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            for file in (first, second):
                volume.write(file, 0, memoryview(bytes([count % 251]) * length), False, False)
            volume.rename(ROOT, b"%d" % (count - 1), ROOT, b"%d" % count, 0)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        names = [home.shoot().name for _ in range(8)]
    finally:
        stop.set()
        writer.join()
    counts = []
    for name in names:
        home.restore(name, to="/hold/me/back")
        entries = home.look("/hold/me/back")["entries"]
        (count,) = (int(one) for one in entries if one.isdigit())
        states = []
        for one in (b"first", b"second"):
            data = b"".join(data for _, data in entries[one]["data"])
            assert len(data) in (0, length) and len(set(data)) <= 1
            states.append(data[0] if data else 0)
        assert (states[0] - states[1]) % 251 in (0, 1) and (states[1] - count) % 251 in (0, 1)
        counts.append(count)
        remove(home.volume, ROOT, b"back")
    assert counts == sorted(counts) and counts[-1] > counts[0]


# ── deaths and errors ──


class Died(BaseException):
    """A process was killed there."""


@pytest.mark.parametrize("step", ["begin", "commit", "complete"])
@pytest.mark.parametrize("late", [False, True])
def test_a_snapshot_that_a_death_cut_short_is_there_whole_or_not_at_all(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: str, late: bool
) -> None:
    write(home.volume, make(home.volume, ROOT, b"file", FILE), 0, b"content")
    home.shoot(name="before")
    seen = home.look("/hold/me")
    with monkeypatch.context() as patched:
        if step == "commit":
            session = type(home.store.session())
            patched.setattr(session, "commit", dying(session.commit, late))
            home.store.session().close()
        else:
            patched.setattr(Chronicle, step, dying(getattr(Chronicle, step), late))
        with pytest.raises(Died):
            home.shoot(name="cut")
    home = home.die()
    try:
        whole = step == "complete" or (step == "commit" and late)
        assert home.names() == home.pins() == ["before", *(["cut"] if whole else [])]
        if whole:
            home.restore("cut")
            assert home.look("/hold/me") == seen
        home.shoot(name="after")
        assert list(home.volume.verify()) == []
    finally:
        home.close()


@pytest.mark.parametrize("step", ["_mark", "_drop", "_strike"])
@pytest.mark.parametrize("late", [False, True])
def test_a_snapshot_that_was_about_to_go_is_gone_after_a_death(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: str, late: bool
) -> None:
    home.shoot(name="one")
    home.shoot(name="two")
    with monkeypatch.context() as patched:
        patched.setattr(Chronicle, step, dying(getattr(Chronicle, step), late))
        with pytest.raises(Died):
            home.history.remove("one")
    home = home.die()
    try:
        assert home.names() == home.pins() == (["one", "two"] if (step, late) == ("_mark", False) else ["two"])
    finally:
        home.close()


def dying(step: Callable[..., Any], late: bool) -> Callable[..., Any]:
    def die(*given: Any, **named: Any) -> Any:
        if late:
            step(*given, **named)
        raise Died

    return die


def test_a_restore_that_fails_anywhere_changes_nothing_or_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = home.volume
    top = make(volume, ROOT, b"tree", DIRECTORY)
    build(
        volume, top, [(n, b"%d" % n, mode, Change(), [(0, CHUNK)], {}, 1) for n, mode in enumerate([FILE, PIPE, LINK])]
    )
    volume.settle()
    old = home.look("/hold/me/tree")
    home.shoot(name="one")
    write(volume, make(volume, top, b"since", FILE), 0, b"since")
    new = home.look("/hold/me/tree")
    failed = 0
    for step in ("make", "link", "adopt", "change", "set_xattr", "rename", "unlink", "rmdir"):
        for at in range(1, 40):
            calls = 0
            original = getattr(Volume, step)

            def fail(self: Volume, *given: Any, at: int = at, original: Any = original, **named: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == at:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return original(self, *given, **named)

            with monkeypatch.context() as patched:
                patched.setattr(Volume, step, fail)
                try:
                    home.restore("one", "tree")
                except HoldError as error:
                    assert error.kind is Kind.FAILED
            if calls < at:
                break
            failed += 1
            assert home.look("/hold/me/tree") in (old, new), (step, at)
            home.restore("one", "tree")
            assert home.look("/hold/me/tree") == old
            write(volume, make(volume, volume.lookup(ROOT, b"tree").number, b"since", FILE), 0, b"since")
            new = home.look("/hold/me/tree")
    assert failed > 15 and list(volume.verify()) == []


@pytest.mark.slow
@pytest.mark.parametrize("below", ["tree", ""])
def test_a_restore_that_a_death_cut_short_leaves_the_old_or_the_new(
    home: Home, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    top = make(home.volume, ROOT, b"tree", DIRECTORY)
    for name in (b"one", b"two"):
        write(home.volume, make(home.volume, top, name, FILE), 0, name)
        make(home.volume, ROOT, name, DIRECTORY)
    new = whole(home.look("/hold/me"))
    home.shoot(name="new")
    home.volume.unlink(top, b"one")
    home.volume.rmdir(ROOT, b"two")
    home.volume.commit()
    states = [whole(home.look("/hold/me")), new]
    for step in ("rename", "unlink", "commit"):
        for at in range(1, 30):
            died = False
            original = getattr(Volume, step)
            calls = 0

            def die(self: Volume, *given: Any, at: int = at, original: Any = original) -> Any:
                nonlocal calls, died
                calls += 1
                if calls == at:
                    tend(self)
                    self._journal.close()  # nothing of what is tried yet gets there
                    died = True
                if died:
                    raise Died
                return original(self, *given)

            with monkeypatch.context() as patched:
                patched.setattr(Volume, step, die)
                try:
                    home.restore("new", below)
                except (Died, HoldError):
                    assert died
                    home.volume.abandon()
            home = home.die() if died else home
            if not died:
                break
            seen = whole(home.look("/hold/me"))
            allowed = [state["entries"][b"tree"] for state in states] if below else states
            assert (seen["entries"][b"tree"] if below else seen) in allowed, (step, at)
            assert list(home.volume.verify()) == []
    home.close()


def tend(volume: Volume) -> None:
    """What is done in the background: a commit, if it can be now."""

    def commit() -> None:
        if volume._committing.acquire(blocking=False):
            try:
                volume._commit(1 << 20)
            finally:
                volume._committing.release()

    tending = threading.Thread(target=commit)
    tending.start()
    tending.join()


def whole(seen: dict[str, Any]) -> dict[str, Any]:
    """What is there without what is not whole, and without the root's own time."""
    entries = {name: what for name, what in seen["entries"].items() if not name.endswith(b".partial")}
    return {**seen, "entries": entries, "modified": 0}


def test_what_comes_into_the_root_while_it_is_restored_is_in_nobodys_way(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(home.volume, ROOT, b"directory", DIRECTORY)
    before = home.look("/hold/me")
    home.shoot(name="one")
    listed = history._all

    def late(changes: Changes, directory: int) -> list[bytes]:
        if directory != ROOT:
            intruder = make(home.volume, ROOT, b"directory", DIRECTORY)
            make(home.volume, intruder, b"file", FILE)
        return listed(changes, directory)

    monkeypatch.setattr(history, "_all", late)
    home.restore("one")
    assert home.look("/hold/me") == before and list(home.volume.verify()) == []


# ── what is refused ──


def test_what_cannot_be_a_snapshot_is_refused(home: Home) -> None:
    make(home.volume, ROOT, b"pipe", PIPE)
    for path, how, kind in (
        ("/hold/me/none", {}, Kind.NOT_FOUND),
        ("/hold/me/pipe", {}, Kind.UNSUPPORTED),
        ("/hold/me", {"name": ""}, Kind.USAGE),
        ("/hold/me", {"name": "x" * 201}, Kind.USAGE),
        ("/hold/me", {"name": "a\nb"}, Kind.USAGE),
    ):
        with pytest.raises(HoldError) as caught:
            home.shoot(path, **how)
        assert caught.value.kind is kind
    assert home.names() == home.pins() == []


def test_a_tree_of_somebody_else_has_no_set_id_bits_and_is_the_callers(home: Home) -> None:
    file = make(home.volume, ROOT, b"file", FILE)
    home.volume.change(file, Change(mode=0o6755, owner="bob@family"))
    home.shoot("/hold/me/file", name="one")
    with_supplement = home.look("/hold/me/file")
    root = home.shoot("/hold/me/file", plain=True, name="plain").root
    for one in home.names():
        home.history.remove(one)
    home.store.session().close()
    with pytest.raises(HoldError) as caught:
        home.restore(root)
    assert caught.value.kind is Kind.USAGE
    home.restore(root, to="/hold/me/again")
    assert with_supplement["mode"] == "0o106755"
    seen = home.look("/hold/me/again")
    assert seen["mode"] == "0o100755" and Who(*seen["whose"]).owner == ME.owner
