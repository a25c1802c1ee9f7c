"""A death or an error at every step of commits and settling. After a power cut the tree is as at a commit, and nothing
synced is lost; after the death of a process nothing is that was done."""

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.trees import KEEP_SIZE, PUNCH_HOLE, ROOT
from commonhold.volume import settling
from commonhold.volume.journal import Journal
from commonhold.volume.tables import Tables
from commonhold.volume.volume import Volume
from tests.fakes.vault import MemoryVault
from tests.volume.volumes import Place, content, names, open_or_make, write

KIB = 1 << 10
State = dict[bytes, bytes]


def files(volume: Volume) -> State:
    return {name: content(volume, volume.lookup(ROOT, name).number) for name in names(volume)}


def number(volume: Volume, name: bytes) -> int:
    return open_or_make(volume, name)


def fill(name: bytes, offset: int, length: int, byte: int) -> Callable[[Volume], None]:
    return lambda volume: write(volume, number(volume, name), offset, bytes([byte]) * length)


def remove(name: bytes) -> Callable[[Volume], None]:
    def step(volume: Volume) -> None:
        if name in names(volume):
            gone = number(volume, name)
            volume.unlink(ROOT, name)
            volume.forget([gone])

    return step


def punch(name: bytes, offset: int, length: int) -> Callable[[Volume], None]:
    return lambda volume: volume.allocate(number(volume, name), offset, length, PUNCH_HOLE | KEEP_SIZE)


# Each may be done twice without harm. They make inline blocks, packs and whole chunks, and leave them thin and unused.
STEPS: list[Callable[[Volume], None]] = [
    fill(b"small", 0, 4 * KIB, 1),
    fill(b"pack", 0, 400 * KIB, 2),
    fill(b"chunks", 0, 2500 * KIB, 3),
    fill(b"pack", 100 * KIB, 200 * KIB, 4),
    lambda volume: volume.rename(ROOT, b"small", ROOT, b"moved", 0) if b"small" in names(volume) else None,
    punch(b"pack", 50 * KIB, 300 * KIB),
    Volume.settle,
    fill(b"chunks", 1024 * KIB, 1024 * KIB, 5),
    remove(b"pack"),
    Volume.settle,
    fill(b"moved", 0, 300 * KIB, 6),
    remove(b"chunks"),
    Volume.settle,
]


def states() -> list[State]:
    """The files after each step, as a volume has them that nothing happens to."""
    found: list[State] = [{}]
    with closing_place() as place:
        volume = place.open()
        for step in STEPS:
            step(volume)
            volume.sync(0)
            found.append(files(volume))
    return found


class closing_place:  # noqa: N801  (a context manager, read as a phrase)
    """A place that is gone when the block is left."""

    def __enter__(self) -> Place:
        self.directory = Path(tempfile.mkdtemp())
        (self.directory / "volume").mkdir()
        self.place = Place(self.directory / "volume")
        return self.place

    def __exit__(self, *error: object) -> None:
        self.place.close()
        shutil.rmtree(self.directory)


EXPECTED = states()


@pytest.fixture(autouse=True)
def few_chapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they are merged."""
    monkeypatch.setattr(settling, "MOST_CHAPTERS", 2)
    monkeypatch.setattr(settling, "MERGED", 2)


class Image(NamedTuple):
    """What a death at that moment would have left."""

    acknowledged: int
    begun: int  # steps, the last one perhaps in part
    done: int
    what: str
    directory: Path
    kept: dict[int, dict[bytes, bytes]]

    def opened(self, place: Place, boot: bytes) -> Volume:
        """The volume that was left, opened in a boot of the machine."""
        place.directory = place.directory.with_name("opened")
        shutil.rmtree(place.directory, ignore_errors=True)
        shutil.copytree(self.directory, place.directory)
        place.vault = MemoryVault()
        place.vault.kept_chapters = {number: dict(blocks) for number, blocks in self.kept.items()}
        place.boot = boot
        return place.open()


class Images:
    """Copies of a volume's files and of its vault."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.acknowledged = self.begun = self.done = 0
        self.found: list[Image] = []
        self._turn = threading.Lock()

    def take(self, what: str) -> None:
        with self._turn:
            copy = self.place.directory.with_name(f"image-{len(self.found)}")
            shutil.copytree(self.place.directory, copy)
            kept = {number: dict(blocks) for number, blocks in self.place.vault.kept_chapters.items()}
            self.found.append(Image(self.acknowledged, self.begun, self.done, what, copy, kept))

    def around(self, what: str, call: Callable[..., None]) -> Callable[..., None]:
        """A call before and after which images are taken."""

        def watched(*given: object) -> None:
            self.take(f"before {what}")
            call(*given)
            self.take(f"after {what}")

        return watched


@pytest.fixture
def images(place: Place, monkeypatch: pytest.MonkeyPatch) -> Images:
    """Of every step of a workload, and of every step of its commits."""
    found = Images(place)
    volume = place.open()
    place.vault.step = found.take
    with monkeypatch.context() as patched:
        patched.setattr(Tables, "commit", found.around("COMMIT", Tables.commit))
        patched.setattr(Journal, "begin", found.around("the new journal", Journal.begin))
        patched.setattr(Journal, "_cut_to", found.around("its cutting", Journal._cut_to))
        for at, step in enumerate(STEPS):
            found.begun = at + 1
            step(volume)
            found.done = at + 1
            found.take("step")
            volume.sync(0)
            found.acknowledged = at + 1
            found.take("acknowledged")
        volume.abandon()
    done = {image.what for image in found.found}
    assert done >= {"begin", "put", "commit", "drop", "keep", "before COMMIT", "acknowledged", "after its cutting"}
    return found


@pytest.mark.slow
def test_a_power_cut_at_any_step_leaves_a_commit(place: Place, images: Images) -> None:
    for image in images.found:
        with closing(image.opened(place, b"another boot, 16")) as volume:
            assert list(volume.verify()) == [], image.what
            assert files(volume) in EXPECTED[image.acknowledged : image.acknowledged + 2], image[:4]
            volume.settle()
            known = {number for number, *_ in volume._extents.chapters()}
            assert set(place.vault.kept_chapters) == known


@pytest.mark.slow
def test_a_death_at_any_step_leaves_all_that_was_done(place: Place, images: Images) -> None:
    for image in images.found:
        with closing(image.opened(place, bytes(16))) as volume:
            found = files(volume)
            before, after = EXPECTED[image.done], EXPECTED[image.begun]
            made = dict.fromkeys(after.keys() - before.keys(), b"")  # by the step that was under way
            assert found in (before, before | made, after), image[:4]
            assert list(volume.verify()) == [], image.what
            volume.settle()
            assert files(volume) == found
            known = {number for number, *_ in volume._extents.chapters()}
            assert set(place.vault.kept_chapters) == known


class Fault:
    """An error of a vault at one of its steps. `met` is the step's name, once it came to it."""

    def __init__(self, at: int, kind: Kind) -> None:
        self._left = at
        self._kind = kind
        self.met: str | None = None

    def __call__(self, name: str) -> None:
        self._left -= 1
        if self._left == -1:
            self.met = name
            raise HoldError(name, self._kind, "the vault", "failed by a test")


def run_all(volume: Volume) -> None:
    """Do all steps and syncs; what is refused is tried again."""
    for step in STEPS:
        for call in (step, lambda volume: volume.sync(0)):
            for _ in range(12):
                try:
                    call(volume)
                    break
                except OSError:
                    continue
            else:
                raise AssertionError("refused for good")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.DISK_FULL, Kind.QUOTA, Kind.UNREACHABLE])
def test_an_error_of_the_vault_at_any_step_costs_nothing(kind: Kind) -> None:
    met: set[str] = set()
    for at in itertools.count():
        with closing_place() as place:
            volume = place.open()
            fault = Fault(at, kind)
            place.vault.step = fault
            run_all(volume)
            volume.settle()
            place.vault.step = lambda name: None
            assert files(volume) == EXPECTED[-1]
            assert list(volume.verify()) == []
            volume = place.crash(volume)
            assert files(volume) == EXPECTED[-1] and list(volume.verify()) == []
            if fault.met is None:
                break
            met.add(fault.met)
    assert met >= {"begin", "put", "commit", "drop", "keep"}


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5])
def test_a_full_disk_of_the_tables_is_told_and_nothing_is_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    volume = place.open()
    for step in STEPS[:at]:
        step(volume)
    volume.sync(0)
    set_aside = Tables.set_aside

    def full(tables: Tables) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tables, "set_aside", full)
    STEPS[at](volume)
    with pytest.raises(OSError, match="No space"):
        volume.sync(0)
    with pytest.raises(OSError, match="No space"):
        write(volume, number(volume, b"more"), 0, b"x")
    assert volume.dirty_since is not None
    monkeypatch.setattr(Tables, "set_aside", set_aside)
    volume.sync(0)
    volume = place.power_cut(volume)
    assert files(volume) == EXPECTED[at + 1] | {b"more": b""}
    assert list(volume.verify()) == []


def test_a_commit_that_sqlite_undid_ends_the_volume(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = place.open()
    fill(b"kept", 0, 10, 1)(volume)
    volume.sync(0)

    def undone(tables: Tables) -> None:
        tables.db.execute("rollback")
        raise HoldError("commit", Kind.DISK_FULL, "", "database or disk is full")

    fill(b"more", 0, 10, 1)(volume)
    monkeypatch.setattr(Tables, "commit", undone)
    with pytest.raises(OSError):
        volume.sync(0)
    monkeypatch.undo()
    for call in (lambda: volume.lookup(ROOT, b"kept"), lambda: volume.sync(0), volume.close):
        with pytest.raises(OSError, match="Input/output"):
            call()
    assert files(place.open()) == {b"kept": b"\1" * 10, b"more": b"\1" * 10}  # the journal has it


def test_nothing_of_a_transaction_is_in_the_tables_files_before_its_commit(place: Place) -> None:
    volume = place.open()
    volume.sync(0)
    before = [path.stat().st_size for path in sorted(place.directory.glob("*sqlite*"))]
    for n in range(1000):
        volume.set_xattr(number(volume, b"%d" % n), b"user.x", bytes(60_000), 0)
    assert [path.stat().st_size for path in sorted(place.directory.glob("*sqlite*"))] == before
    volume.sync(0)
    assert sum(path.stat().st_size for path in place.directory.iterdir()) > 60_000_000
