"""What happens while an add or a get is under way: files that change, an end that comes early, rules within rules."""

import contextlib
import io
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commonhold.agent.adding import Adder, Options
from commonhold.agent.archiving import export_tar
from commonhold.agent.blocks import Blocks
from commonhold.agent.files import LocalFiles
from commonhold.agent.getting import MAX_DEPTH, Getter
from commonhold.agent.opened import Opened
from commonhold.blockstore import reclaim
from commonhold.blockstore.store import Store, create
from commonhold.calls import Adding, OsPath
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.host.limits import allow_many_files
from commonhold.host.passed import Gone
from commonhold.unixfs.build import Built
from commonhold.unixfs.chunk import FixedChunker
from commonhold.unixfs.directory import Entry, build_directory
from commonhold.unixfs.profile import by_name, with_attributes
from tests.fakes.keeping import Keeping
from tests.host.people import plain_user
from tests.waiting import SECONDS

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as opened:
        yield opened


class Opening:
    """Sees what is about to be opened, and does something once, when that is a given name."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name: str | None = name
        self._act = act
        self.names: list[str] = []
        sys.addaudithook(self._see)  # there is no way to take it back: it becomes idle

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and self._name is not None:
            self.names.append(os.path.basename(str(arguments[0])))
            if self.names[-1] == self._name:
                self._name = None
                self._act()


class Watch:
    """Does something once, when the first bytes have gone by."""

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self._first: Callable[[], None] | None = first
        self.paths: list[str] = []

    def bytes(self, count: int) -> None:
        if self._first is not None:
            act, self._first = self._first, None
            act()

    def file(self, path: str, built: Built | None = None) -> None:
        self.paths.append(path)

    def skipped(self, path: str, why: str) -> None:
        self.paths.append(f"skipped {path}")


PLAIN = Options(by_name("unixfs-v1-2025"), FixedChunker(MIB), recursive=True)


def add(store: Store, path: Path, watch: Watch, options: Options = PLAIN) -> Cid:
    session = store.session()
    adder = Adder(session, options, watch)
    try:
        built = adder.add(str(path))
        session.commit("it", built.cid)
        return built.cid
    finally:
        adder.close()
        session.close()


def get(store: Store, cid: Cid, target: Path, watch: Watch) -> None:
    getter = Getter(Blocks(store), watch)
    try:
        getter.get(cid, str(target))
    finally:
        getter.close()


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _shrink(path: Path) -> None:
    os.truncate(path, 10)


def _rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 5_000_000_000))  # ctime tells all the same


@pytest.mark.parametrize("change", [_grow, _shrink, _rewrite])
@pytest.mark.parametrize("size", [40 * MIB, 70_000])
def test_a_file_that_changes_while_it_is_added_is_refused(
    store: Store, tmp_path: Path, change: Callable[[Path], None], size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    with pytest.raises(HoldError) as caught:
        add(store, path, Watch(lambda: change(path)))
    assert caught.value.kind is Kind.CHANGED and str(path) in caught.value.subject
    assert store.pins() == [] and store.sessions == set()


def test_an_add_that_is_interrupted_keeps_nothing_and_gc_takes_the_rest(store: Store, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 * MIB))
    with pytest.raises(KeyboardInterrupt):
        add(store, path, Watch(interrupt))
    assert store.pins() == [] and store.sessions == set()
    reclaim.collect(store)
    assert store.usage().blocks == 0
    assert get_back(store, add(store, path, Watch()), tmp_path / "back") == path.read_bytes()


def get_back(store: Store, cid: Cid, target: Path) -> bytes:
    get(store, cid, target, Watch())
    return target.read_bytes()


class Leaving:
    """Whoever asked has left when the add is about to be made final."""

    def bytes(self, count: int) -> None:
        """See `calls.Watcher`."""
        if not count:
            raise Gone

    def part(self, name: str, count: int) -> None:
        raise AssertionError(name)

    def file(self, path: str, cid: Cid, size: int) -> None:
        """See `calls.Watcher`."""

    def skipped(self, path: str, why: str) -> None:
        """See `calls.Watcher`."""

    def remark(self, text: str) -> None:
        """See `calls.Watcher`."""


def test_whoever_has_left_before_the_end_of_an_add_gets_no_pin(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    files = LocalFiles(Opened(tmp_path / "store", store, os.geteuid()), None)
    with pytest.raises(Gone):
        files.add([OsPath(tmp_path / "file")], Adding(), None, Leaving())
    assert store.pins() == [] and store.sessions == set()


@pytest.mark.parametrize("size", [100 * MIB, 3 * MIB, 10])
def test_a_get_that_is_interrupted_leaves_nothing_behind(store: Store, tmp_path: Path, size: int) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    source, out = tmp_path / "tree", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    (source / "file").write_bytes(bytes(range(256)) * (size // 256 + 1))
    cid = add(store, source, Watch())
    with pytest.raises(KeyboardInterrupt):
        get(store, cid, out / "it", Watch(interrupt))
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("size", [3 * MIB, 10])
@pytest.mark.parametrize("tree", [False, True])
def test_what_appears_at_the_target_during_a_get_stays(store: Store, tmp_path: Path, size: int, tree: bool) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    path = source / "file" if tree else source
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    cid = add(store, source, Watch())
    out.mkdir()
    with pytest.raises(HoldError) as caught:
        get(store, cid, out / "it", Watch(lambda: (out / "it").symlink_to("mine")))
    assert caught.value.kind is Kind.EXISTS
    assert [path.readlink() for path in out.iterdir()] == [Path("mine")]


def test_the_deepest_holdignore_that_has_an_opinion_decides(store: Store, tmp_path: Path) -> None:
    names = ["a.log", "keep.log", "sub/b.log", "sub/c.txt", "sub/deep/d.log", "sub/deep/only/here/e.txt", "build/f"]
    for name in names:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "tree/.holdignore").write_text("*.log\n!keep.log\n/build/\n")
    (tmp_path / "tree/sub/.holdignore").write_text("!b.log\n*.txt\n")
    (tmp_path / "tree/sub/deep/.holdignore").write_text("!*.log\n!/only/here/*.txt\n")
    get(store, add(store, tmp_path / "tree", Watch()), tmp_path / "out", Watch())
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"keep.log", "sub/b.log", "sub/deep/d.log", "sub/deep/only/here/e.txt"}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [4096, MIB])
def test_what_is_here_already_is_added_again_however_much_it_is(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("commonhold.blockstore.session._KEPT_LIMIT", 3)
    (tmp_path / "tree").mkdir()
    for number in range(10):
        (tmp_path / "tree" / str(number)).write_text(str(number))
    (tmp_path / "tree" / "large").write_bytes(os.urandom(8 * MIB))
    options = replace(PLAIN, chunker=FixedChunker(chunk))
    first = add(store, tmp_path / "tree", Watch(), options)
    assert add(store, tmp_path / "tree", Watch(), options) == first
    (tmp_path / "tree" / "new").write_text("new")
    second = add(store, tmp_path / "tree", Watch(), options)
    store.unpin("it")
    reclaim.collect(store)
    assert list(store.keys()) == [] and second != first


@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "pipe", "socket"])
def test_a_holdignore_that_is_no_file_is_refused_by_its_name(store: Store, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").write_text("*")
    path = tmp_path / "tree/sub/.holdignore"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            with contextlib.chdir(path.parent):
                listening.bind(path.name)
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
        with pytest.raises(HoldError) as caught:
            add(store, tmp_path / "tree", Watch())
    assert caught.value.kind is Kind.INVALID and caught.value.subject == str(path)
    assert caught.value.why == "not a regular file"


def test_a_pattern_without_sense_is_refused_by_its_file_and_line(store: Store, tmp_path: Path) -> None:
    (tmp_path / ".holdignore").write_text("*.o\n\n[a\n")
    with pytest.raises(HoldError) as caught:
        add(store, tmp_path, Watch())
    assert caught.value.subject == str(tmp_path / ".holdignore") and "line 3" in caught.value.why


def test_a_name_that_is_not_utf8_can_be_left_out(store: Store, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_bytes(b"")
    (tmp_path / ".holdignore").write_bytes(b"\xef\xbb\xbfbad\xff\r\n/store\n")
    watch = Watch()
    add(store, tmp_path, watch)
    assert watch.paths == [str(tmp_path)]


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("swap", [_to_pipe, _to_link])
def test_what_comes_in_a_files_place_before_it_is_opened_is_neither_waited_for_nor_followed(
    store: Store, tmp_path: Path, swap: Callable[[Path], None]
) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    Opening("file", lambda: swap(path))
    with pytest.raises(HoldError) as caught:
        add(store, path, Watch())
    assert caught.value.kind is Kind.CHANGED and caught.value.subject == str(path)


@pytest.mark.parametrize(("swap", "seen"), [(_to_pipe, "skipped "), (_to_link, "")])
def test_what_comes_in_the_place_of_a_file_that_was_listed_is_taken_for_what_it_is(
    store: Store, tmp_path: Path, swap: Callable[[Path], None], seen: str
) -> None:
    path = tmp_path / "tree/file"
    path.parent.mkdir()
    path.write_text("x")
    Opening("file", lambda: swap(path))
    watch = Watch()
    cid = add(store, path.parent, watch)
    assert watch.paths[0] == f"{seen}{path}"
    get(store, cid, tmp_path / "out", Watch())
    assert [item.is_symlink() for item in (tmp_path / "out").iterdir()] == ([] if seen else [True])


def test_a_file_that_disappears_after_it_was_listed_is_named(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tree/file"
    path.parent.mkdir()
    path.write_text("x")
    Opening("file", path.unlink)
    with pytest.raises(HoldError) as caught:
        add(store, path.parent, Watch())
    assert caught.value.kind is Kind.NOT_FOUND and caught.value.subject == str(path)


def test_a_file_of_the_kernels_own_has_what_is_in_it_though_its_size_is_0(store: Store, tmp_path: Path) -> None:
    adder = Adder(store.session(), Options(by_name("unixfs-v1-2025"), FixedChunker(MIB)), Watch())
    with contextlib.closing(adder):
        built = adder.add("/proc/self/status")
        assert built.size > 100
        (tmp_path / "empty").touch()
        assert adder.add(str(tmp_path / "empty")).size == 0


def test_pipes_are_not_opened(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    (tmp_path / "tree/zero").write_text("")
    opening = Opening("zero", lambda: None)
    add(store, tmp_path / "tree", Watch())
    assert "zero" in opening.names and "pipe" not in opening.names


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
@pytest.mark.parametrize(("mode", "left"), [(0o777, 0), (0o755, 1)])
def test_a_directory_that_cannot_be_finished_is_an_error_and_nothing_unsaid_is_left(mode: int, left: int) -> None:
    with plain_user() as home:
        create(home / "store")
        (home / "out").mkdir()
        (home / "tree").mkdir()
        (home / "tree/file").write_text("x")

        def take_away() -> None:
            os.seteuid(0)
            (partial,) = (home / "out").iterdir()
            os.chown(partial, 0, 0)
            os.chmod(partial, mode)
            os.seteuid(home.stat().st_uid)

        with Store(home / "store") as store:
            options = Options(with_attributes(by_name("unixfs-v1-2025")), FixedChunker(MIB), recursive=True, mtime=True)
            cid = add(store, home / "tree", Watch(), options)
            with pytest.raises(HoldError) as caught:
                get(store, cid, home / "out/it", Watch(take_away))
        assert caught.value.kind is Kind.DENIED and caught.value.subject == str(home / "out/it")
        partial = list((home / "out").iterdir())
        assert len(partial) == left and all(str(path) in caught.value.why for path in partial)


class Slow:
    """A store that has what is expected next only when something was written of what was expected before."""

    def __init__(self, store: Store) -> None:
        self.size, self.get, self.read_into = store.size, store.get, store.read_into
        self.expected: list[int] = []
        self.asked, self.written = threading.Event(), threading.Event()

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`."""
        self.expected.append(len(list(keys)))
        if len(self.expected) == 2:
            self.asked.set()
            assert self.written.wait(SECONDS)


def test_what_comes_next_is_fetched_while_files_are_written(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(300):
        (tmp_path / "tree" / f"{number}").write_bytes(b"%d" % number)
    root = add(store, tmp_path / "tree", Watch())
    slow = Slow(store)

    def first_bytes() -> None:
        assert slow.asked.wait(SECONDS)
        slow.written.set()

    with contextlib.closing(Getter(Blocks(slow), Watch(first_bytes))) as getter:
        getter.get(root, str(tmp_path / "out"))
    assert sum(slow.expected) == 300
    assert sorted(os.listdir(tmp_path / "out")) == sorted(os.listdir(tmp_path / "tree"))


def test_what_goes_wrong_with_what_comes_next_ends_the_get(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(300):
        (tmp_path / "tree" / f"{number}").write_bytes(b"%d" % number)
    root = add(store, tmp_path / "tree", Watch())

    class Broken(Slow):
        def expect(self, keys: Iterable[Multihash]) -> None:
            if len(self.expected):
                raise HoldError("call", Kind.UNREACHABLE, "node", "gone")
            super().expect(keys)

    with contextlib.closing(Getter(Blocks(Broken(store)), Watch())) as getter, pytest.raises(HoldError, match="gone"):
        getter.get(root, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("archive", [False, True])
def test_a_tree_deeper_than_any_path_is_refused(tmp_path: Path, archive: bool) -> None:
    keeping, profile = Keeping(), by_name("unixfs-v1-2025")
    entries: list[Entry] = []
    for _ in range(MAX_DEPTH + 1):
        plan = build_directory(profile, entries)
        with contextlib.suppress(StopIteration):
            while True:
                block = next(plan)
                keeping.put(block.cid.multihash, block.data)
        entries = [Entry("d", block.cid, len(block.data))]
    blocks = Blocks(keeping)
    with pytest.raises(HoldError) as caught:
        if archive:
            export_tar(blocks, block.cid, "it", io.BytesIO(), lambda count: None)
        else:
            allow_many_files()
            getter = Getter(blocks, Watch())
            with contextlib.closing(getter):
                getter.get(block.cid, str(tmp_path / "it"))
    assert caught.value.kind is Kind.TOO_LARGE and "2048" in caught.value.why
    assert list(tmp_path.iterdir()) == []
