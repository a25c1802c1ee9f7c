"""Numbers as a kernel needs them: the same for the same thing, never another's, for as long as it may ask."""

import errno
import os
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from commonhold.agent.numbers import BY_CID, Numbers, Object
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from tests.examples import examples

CID = cids.from_digest(cids.RAW, bytes(32))
EPOCH = b"one"


def file(name: bytes = b"f", size: int | None = 1) -> Object:
    return Object(BY_CID, name, CID, stat.S_IFREG | 0o444, size, 0, b"")


def directory(place: int, name: bytes) -> Object:
    return Object(place, name, CID, stat.S_IFDIR | 0o555, 0, 0, b"")


def opened(path: Path, idle: int = 4) -> Numbers:
    numbers = Numbers(path, idle)
    numbers.begin(EPOCH)
    return numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "public.sqlite"


@pytest.fixture
def numbers(path: Path) -> Iterator[Numbers]:
    with closing(opened(path)) as found:
        yield found


def give(numbers: Numbers, one: Object, held: bool = True) -> int:
    return numbers.give([one], held=held)[0]


def unknown(numbers: Numbers, number: int) -> bool:
    try:
        numbers.object(number)
    except OSError as error:
        assert error.errno == errno.ENOENT
        return True
    return False


def press_out(numbers: Numbers, first: int = 0) -> None:
    """Have so many others be idle that all that was before is let go."""
    for i in range(first, first + 30):
        numbers.forget([give(numbers, file(b"other %d" % i))])


def test_the_same_thing_has_the_same_number_and_no_other_has(numbers: Numbers) -> None:
    a, b = give(numbers, file(b"a")), give(numbers, file(b"b"))
    assert 1 < a != b > 1
    assert give(numbers, file(b"a")) == a
    below = [give(numbers, directory(place, b"a")) for place in (1, a)]
    assert len({a, b, *below}) == 4
    assert numbers.object(below[1]) == directory(a, b"a")
    assert isinstance(numbers.object(a).cid, Cid)


def test_a_killed_process_leaves_every_number_it_gave(path: Path) -> None:
    first = opened(path)
    first.close()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            again = opened(path)
            os.write(theirs, b"%d %d" % tuple(again.give([file(b"a"), directory(1, b"d")], held=True)))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    a, d = map(int, os.read(ours, 100).split())
    os.close(ours)
    os.close(theirs)
    with closing(opened(path)) as numbers:
        assert numbers.object(a) == file(b"a") and numbers.object(d) == directory(1, b"d")
        assert give(numbers, file(b"a")) == a
        assert give(numbers, file(b"new")) > d


def test_another_epoch_begins_anew(path: Path) -> None:
    with closing(opened(path)) as numbers:
        number = give(numbers, file())
        numbers.begin(b"two")
        assert unknown(numbers, number)
        number = give(numbers, file(b"x"))
        numbers.begin(b"two")
        assert numbers.object(number) == file(b"x")


@pytest.mark.parametrize("garbage", [b"", b"no database" * 1000])
def test_what_is_no_table_is_replaced(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with closing(opened(path)) as numbers:
        assert numbers.object(give(numbers, file())) == file()


def test_a_table_that_cannot_be_opened_is_not_thrown_away(path: Path) -> None:
    with closing(opened(path)) as numbers:
        number = give(numbers, file())
    path.rename(path.with_suffix(".there"))
    path.symlink_to(path.with_suffix(".there"))
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        opened(path)
    path.unlink()
    path.with_suffix(".there").rename(path)
    with closing(opened(path)) as numbers:
        assert numbers.object(number) == file()


def test_the_table_is_nobody_elses(numbers: Numbers, path: Path) -> None:
    give(numbers, file())
    assert {found.stat().st_mode & 0o777 for found in path.parent.iterdir()} == {0o600}


def test_what_is_forgotten_is_known_until_others_are_idle(numbers: Numbers) -> None:
    number = give(numbers, file())
    numbers.forget([number])
    assert give(numbers, file(), held=False) == number
    press_out(numbers)
    assert unknown(numbers, number)
    assert give(numbers, file()) > number


def test_what_is_asked_about_after_all_is_idle_no_longer(numbers: Numbers) -> None:
    """The answer that gave the number again crossed with word that it was forgotten."""
    asked, given, known = (give(numbers, file(name)) for name in (b"a", b"g", b"k"))
    numbers.forget([asked, given, known])
    numbers.object(asked)
    give(numbers, file(b"g"))
    assert numbers.known(BY_CID, b"k") == (known, file(b"k"))
    press_out(numbers)
    numbers.begin(EPOCH)  # what was kept in memory alone would be gone
    assert not any(unknown(numbers, number) for number in (asked, given, known))


def test_what_was_only_listed_is_held_by_nobody(numbers: Numbers) -> None:
    listed = give(numbers, file(b"listed", None), held=False)
    both = give(numbers, file(b"both", None), held=False)
    give(numbers, file(b"both"))
    give(numbers, file(b"both", None), held=False)
    press_out(numbers)
    numbers.begin(EPOCH)
    assert unknown(numbers, listed)
    assert numbers.object(both).size == 1


def test_a_directory_stays_while_something_in_it_does(numbers: Numbers) -> None:
    above = give(numbers, directory(1, b"above"))
    below = give(numbers, directory(above, b"below"))
    numbers.forget([above])
    press_out(numbers)
    assert numbers.object(below).place == above and not unknown(numbers, above)
    numbers.forget([below, above])
    press_out(numbers)
    press_out(numbers, 30)
    assert unknown(numbers, below) and unknown(numbers, above)


def test_threads_that_ask_at_once_are_told_the_same(numbers: Numbers) -> None:
    told: list[list[int]] = []
    things = [file(b"%d" % i) for i in range(50)]
    threads = [threading.Thread(target=lambda: told.append(numbers.give(things, held=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8 and all(one == told[0] for one in told)


def test_without_an_epoch_nothing_is_answered(path: Path) -> None:
    with pytest.raises(OSError, match="epoch"):
        Numbers(path).give([file()], held=True)


class Kernel(RuleBasedStateMachine):
    """A kernel that looks up, lists and forgets, beside agents that are killed; it holds what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.path = Path(self.place.name) / "public.sqlite"
        self.numbers = opened(self.path, 3)
        self.held: dict[int, Object] = {}
        self.ever: dict[int, Object] = {}

    def teardown(self) -> None:
        self.numbers.close()
        self.place.cleanup()

    def _given(self, number: int, one: Object) -> None:
        assert self.ever.setdefault(number, one) == one

    @rule(name=st.integers(0, 30), held=st.booleans())
    def file(self, name: int, held: bool) -> None:
        one = file(b"%d" % name)
        number = give(self.numbers, one, held)
        self._given(number, one)
        if held:
            self.held[number] = one

    @rule(data=st.data(), name=st.integers(0, 3))
    def directory(self, data: st.DataObject, name: int) -> None:
        places = [1, *(number for number, one in self.held.items() if stat.S_ISDIR(one.mode))]
        one = directory(data.draw(st.sampled_from(places)), b"%d" % name)
        number = give(self.numbers, one)
        self._given(number, one)
        self.held[number] = one

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        above = {one.place for one in self.held.values()}
        free = [number for number in self.held if number not in above]
        if free:
            gone = data.draw(st.lists(st.sampled_from(free), unique=True, max_size=8))
            self.numbers.forget(gone)
            for number in gone:
                del self.held[number]

    @rule()
    def another_process(self) -> None:
        self.numbers.close()
        self.numbers = opened(self.path, 3)

    @invariant()
    def what_is_held_is_known(self) -> None:
        for number, one in self.held.items():
            assert self.numbers.object(number) == one


TestKernel = Kernel.TestCase
TestKernel.settings = settings(max_examples=examples(25), stateful_step_count=40, deadline=None)
