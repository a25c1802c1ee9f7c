"""A volume beside its model: any calls, commits, deaths and power cuts, and the tree is what the model says."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from commonhold.trees import EXCHANGE, KEEP_SIZE, NOW, PUNCH_HOLE, ROOT, SEEK_DATA, SEEK_HOLE, Change
from tests.examples import examples
from tests.volume.model import LIMIT, Model, Refused
from tests.volume.volumes import DIRECTORY, FILE, Place, content, everything, listed, make, write

NAMES = st.sampled_from([b"a", b"b", b"c\xff", b"d" * 255])
PICK = st.integers(0, 1 << 20)
SIZES = st.one_of(st.integers(0, 5000), st.sampled_from([1 << 18, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]))
TIMES = st.one_of(st.none(), st.just(NOW), st.integers(0, 1 << 62))
OWNERS = st.sampled_from([None, "bob@family", "carol@family"])
CHANGES = st.builds(Change, st.none() | st.integers(0, 0o7777), OWNERS, OWNERS, st.none(), TIMES, TIMES, TIMES)
LIST = b"user::rw-\nuser:bob@family:rwx\ngroup::r--\nmask::r-x\nother::---\n"
OFFSETS = st.one_of(st.integers(0, 5000), st.sampled_from([1 << 20, (1 << 20) - 7, 2 << 20, (3 << 20) - 100]))


class Beside(RuleBasedStateMachine):
    """Each rule does the same to both, and compares the answers."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        (self.directory / "volume").mkdir()
        self.place = Place(self.directory / "volume")
        self.volume = self.place.open()
        self.model = Model()
        self.committed = self.model.copied()
        self.fill = 0

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.place.close()
            shutil.rmtree(self.directory)

    def both(self, real: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Do both; they agree about whether it can be done."""
        wanted = got = None
        try:
            expected = model()
        except Refused as error:
            expected, wanted = None, error.errno
        try:
            answer = real()
        except OSError as error:
            answer, got = None, error.errno
        assert got == wanted
        return None if got else (answer, expected)

    def some_directory(self, pick: int) -> int:
        found = sorted(self.model.directories)
        return found[pick % len(found)]

    def some_file(self, pick: int) -> int | None:
        found = sorted(self.model.files)
        return found[pick % len(found)] if found else None

    def data(self, length: int) -> bytes:
        self.fill = self.fill % 255 + 1
        return bytes([self.fill]) * length

    # ── names ──

    @rule(pick=PICK, name=NAMES, directory=st.booleans())
    def make(self, pick: int, name: bytes, directory: bool) -> None:
        parent = self.some_directory(pick)
        done = self.both(
            lambda: make(self.volume, name, DIRECTORY if directory else FILE, parent),
            lambda: self.model.check_make(parent, name),
        )
        if done:
            self.model.made(parent, name, done[0].number, directory)

    @rule()
    def make_nameless(self) -> None:
        self.model.made(ROOT, b"", make(self.volume, b"").number, False)

    @rule(pick=PICK, where=PICK, name=NAMES)
    def link(self, pick: int, where: int, name: bytes) -> None:
        number, parent = self.some_file(pick), self.some_directory(where)
        if number is not None:
            self.both(lambda: self.volume.link(number, parent, name), lambda: self.model.link(number, parent, name))

    @rule(pick=PICK, name=NAMES)
    def unlink(self, pick: int, name: bytes) -> None:
        parent = self.some_directory(pick)
        self.both(lambda: self.volume.unlink(parent, name), lambda: self.model.unlink(parent, name))

    @rule(pick=PICK, name=NAMES)
    def rmdir(self, pick: int, name: bytes) -> None:
        parent = self.some_directory(pick)
        self.both(lambda: self.volume.rmdir(parent, name), lambda: self.model.rmdir(parent, name))

    @rule(pick=PICK, name=NAMES, where=PICK, new=NAMES, exchange=st.booleans())
    def rename(self, pick: int, name: bytes, where: int, new: bytes, exchange: bool) -> None:
        parent, there = self.some_directory(pick), self.some_directory(where)
        self.both(
            lambda: self.volume.rename(parent, name, there, new, EXCHANGE if exchange else 0),
            lambda: self.model.rename(parent, name, there, new, exchange),
        )

    @rule()
    def forget(self) -> None:
        self.volume.forget([*self.model.files, *self.model.directories])
        self.model.forget_all()

    # ── contents ──

    @rule(pick=PICK, offset=OFFSETS, length=SIZES)
    def write(self, pick: int, offset: int, length: int) -> None:
        number = self.some_file(pick)
        if number is not None and length:
            data = self.data(length)
            write(self.volume, number, offset, data)
            self.model.write(number, offset, data)

    @rule(pick=PICK, length=st.integers(1, 300_000))
    def append(self, pick: int, length: int) -> None:
        number = self.some_file(pick)
        if number is not None and len(self.model.files[number]) < LIMIT:
            data = self.data(length)
            write(self.volume, number, len(self.model.files[number]), data)
            self.model.write(number, len(self.model.files[number]), data)

    @rule(pick=PICK, size=SIZES)
    def resize(self, pick: int, size: int) -> None:
        number = self.some_file(pick)
        if number is not None:
            self.volume.change(number, Change(size=size))
            self.model.resize(number, size)

    @rule(pick=PICK, offset=OFFSETS, length=SIZES)
    def punch(self, pick: int, offset: int, length: int) -> None:
        number = self.some_file(pick)
        if number is not None and length:
            self.volume.allocate(number, offset, length, PUNCH_HOLE | KEEP_SIZE)
            self.model.punch(number, offset, length)

    @rule(pick=PICK, start=OFFSETS, other=PICK, offset=OFFSETS, length=SIZES)
    def copy(self, pick: int, start: int, other: int, offset: int, length: int) -> None:
        source, number = self.some_file(pick), self.some_file(other)
        if source is not None and number is not None:
            self.both(
                lambda: self.volume.copy(source, start, number, offset, length),
                lambda: self.model.copy(source, start, number, offset, length),
            )

    @rule(pick=PICK, offset=OFFSETS)
    def seek(self, pick: int, offset: int) -> None:
        number = self.some_file(pick)
        if number is None:
            return
        for done in (
            self.both(
                lambda: self.volume.seek(number, offset, SEEK_DATA), lambda: self.model.seek_data(number, offset)
            ),
            self.both(
                lambda: self.volume.seek(number, offset, SEEK_HOLE), lambda: self.model.seek_hole(number, offset)
            ),
        ):
            assert done is None or done[0] == done[1]

    # ── what the model does not know: it is as it was after a death ──

    @rule(pick=PICK, change=CHANGES)
    def change(self, pick: int, change: Change) -> None:
        numbers = self.numbers()
        self.volume.change(numbers[pick % len(numbers)], change)

    @rule(pick=PICK, name=st.sampled_from([b"user.a", b"user.b", b"system.posix_acl_access"]), value=st.binary())
    def set_xattr(self, pick: int, name: bytes, value: bytes) -> None:
        numbers = self.numbers()
        with contextlib.suppress(OSError):  # a list that is none
            self.volume.set_xattr(numbers[pick % len(numbers)], name, LIST if name.startswith(b"sys") else value, 0)

    @rule(pick=PICK, name=st.sampled_from([b"user.a", b"user.b", b"system.posix_acl_access"]))
    def remove_xattr(self, pick: int, name: bytes) -> None:
        numbers = self.numbers()
        with contextlib.suppress(OSError):  # there is none
            self.volume.remove_xattr(numbers[pick % len(numbers)], name)

    @rule(pick=PICK, truncate=st.booleans())
    def open(self, pick: int, truncate: bool) -> None:
        number = self.some_file(pick)
        if number is not None:
            self.volume.open(number, truncate, True)
            if truncate:
                self.model.resize(number, 0)

    # ── commits and crashes ──

    @rule()
    def commit(self) -> None:
        self.volume.sync(0)
        self.committed = self.model.copied()

    @rule()
    def verify(self) -> None:
        assert list(self.volume.verify()) == []
        self.committed = self.model.copied()

    @rule()
    def settle(self) -> None:
        self.volume.settle()
        self.committed = self.model.copied()

    @rule(keep=st.booleans())
    def die(self, keep: bool) -> None:
        """Nothing is lost that was done, not even when."""
        if not keep:
            self.forget()
        before = everything(self.volume, self.numbers())
        self.volume = self.place.crash(self.volume, keep_orphans=keep)
        assert everything(self.volume, self.numbers()) == before

    def numbers(self) -> list[int]:
        return [*self.model.files, *self.model.directories]

    @rule(keep=st.booleans())
    def power_cut(self, keep: bool) -> None:
        self.volume = self.place.power_cut(self.volume, keep_orphans=keep)
        self.model = self.committed
        self.model.forget_all()
        self.verify()
        self.compare_contents()

    @rule()
    def compare_contents(self) -> None:
        for number, data in self.model.files.items():
            assert content(self.volume, number) == bytes(data)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "volume"):
            return
        model = self.model
        for number, entries in model.directories.items():
            if number in model.parents:
                assert self.volume.parent(number) == model.parents[number]
            items = listed(self.volume, number, most=3)
            assert {item.name: item.number for item in items} == entries and len(items) == len(entries)
            below = sum(child in model.directories for child in entries.values())
            links = self.volume.attr(number).links
            assert links == (2 + below if number in model.parents else 0)
        for number in model.files:
            attr = self.volume.attr(number)
            assert (attr.size, attr.links) == (len(model.files[number]), model.links[number])
            assert attr.blocks == model.blocks(number)


Beside.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBeside = Beside.TestCase
