"""What blessers take back is known at once, kept, and known again after a restart."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from commonhold.authority.entering import Door
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.formats.malformed import Malformed
from commonhold.storage.door import Gate
from commonhold.storage.hearing import Hearing
from commonhold.storage.ledger import FILE, Ledger
from tests.gossip.statements import EPOCH, GRID, grid_of, key, pin, revoked


class Server:
    """A gate that hears, and what it was warned of."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        rule = Rule(frozenset((key("blesser"), key("other"))))
        door = Door(pin("server"), GRID, rule)
        self.lists = Lists(door.watched)
        self.gate = Gate(door, self.lists, ledger, lambda: EPOCH, bytes)
        self.warned: list[str] = []
        self.directory = path / "revocations"
        self.hearing = Hearing(self.gate, self.directory, self.warned.append)

    def kept(self) -> set[bytes]:
        return {path.read_bytes() for path in self.directory.iterdir()}

    def revoked(self, serial: int, by: str = "blesser") -> bool:
        return self.lists.revoked(key(by), GRID, serial)


@contextmanager
def serving(path: Path) -> Iterator[Server]:
    with closing(Ledger(path / FILE)) as ledger:
        yield Server(path, ledger)


def test_a_list_is_known_and_kept_and_known_again_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.hearing.hear(revoked("blesser", 1, (5,)))
        server.hearing.hear(revoked("other", 1, (6,)))
        assert server.revoked(5) and server.kept() == {revoked("blesser", 1, (5,)), revoked("other", 1, (6,))}
    with serving(tmp_path) as server:
        assert server.revoked(5) and server.revoked(6, "other") and not server.warned


def test_a_newer_list_takes_the_place_of_the_older_and_no_other_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for number in (1, 3, 2):
            server.hearing.hear(revoked("blesser", number, (number,)))
        server.hearing.hear(revoked("stranger", 1, (9,)))
        server.hearing.hear(revoked("blesser", 9, (9,), grid_of("x")))
        assert server.kept() == {revoked("blesser", 3, (3,))}


def test_two_lists_of_one_number_are_kept_both(tmp_path: Path) -> None:
    both = {revoked("blesser", 1, (5,)), revoked("blesser", 1, (6,))}
    with serving(tmp_path) as server:
        for data in both:
            server.hearing.hear(data)
        assert server.kept() == both
    with serving(tmp_path) as server:
        assert server.revoked(5) and server.revoked(6) and server.lists.contradicted(key("blesser"), GRID)


def test_a_damaged_file_is_told_and_hides_no_other(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.hearing.hear(revoked("blesser", 1, (5,)))
        (server.directory / "00.list").write_bytes(b"nonsense")
        (server.directory / "ff.list").write_bytes(bytes((1 << 20) + 1))
    with serving(tmp_path) as server:
        assert server.revoked(5) and len(server.warned) == 2


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    broken = bytearray(revoked("blesser", 1, (5,)))
    broken[-1] ^= 1
    with serving(tmp_path) as server:
        with pytest.raises(Malformed):
            server.hearing.hear(bytes(broken))
        assert server.kept() == set() and not server.revoked(5)
