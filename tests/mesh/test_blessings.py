"""The blessings that a server shows: its own, in force, one of each blesser, and those of now."""

import os
from pathlib import Path

from commonhold.crypto.statements import signed
from commonhold.formats.announcement import MAX_BLESSINGS
from commonhold.formats.blessing import INTRODUCER, STORAGE, Blessing, Purpose
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.mesh.blessings import Blessings
from tests.gossip.statements import DAY, EPOCH, GRID, grid_of, pin, seed


def blessing(
    by: str = "blesser", server: str = "me", purpose: Purpose = STORAGE, grid: GridId = GRID,
    after: int = EPOCH, until: int = EPOCH + DAY, serial: int = 1,
) -> bytes:  # fmt: skip
    said = Blessing(grid, purpose, pin(server), (), after, until, serial)
    return signed(Kind.BLESSING, said.body, seed(by)).encoded


class Shown:
    """A server's blessings, in a directory of the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warned: list[str] = []
        self._blessings = Blessings(path, pin("me"), self.warned.append)

    def put(self, name: str, data: bytes) -> None:
        temporary = self.path / "new"
        temporary.write_bytes(data)
        os.replace(temporary, self.path / f"{name}.bless")

    def now(self, at: float = EPOCH + 1, purpose: Purpose = STORAGE) -> set[bytes]:
        return set(self._blessings.of(GRID, purpose, at))


def test_only_what_is_this_servers_and_in_force_is_shown(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    good = blessing()
    for number, data in enumerate((
        good, blessing(purpose=INTRODUCER), blessing("x", grid=grid_of("x")),
        blessing("old", after=EPOCH - 9, until=EPOCH), blessing("early", after=EPOCH + 3600),
    )):  # fmt: skip
        shown.put(str(number), data)
    assert shown.now() == {good} and shown.warned == []
    assert shown.now(purpose=INTRODUCER) == {blessing(purpose=INTRODUCER)}
    assert shown.now(EPOCH + DAY) == set()


def test_a_file_that_is_no_blessing_of_this_server_is_told_once_and_hides_none(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    broken = bytearray(blessing("broken"))
    broken[-1] ^= 1
    for name, data in (("a", b"nonsense"), ("b", bytes(broken)), ("c", blessing(server="other")), ("d", bytes(5000))):
        shown.put(name, data)
    shown.put("z", blessing())
    (tmp_path / "notes.txt").write_text("not one")
    for _ in range(3):
        assert shown.now() == {blessing()}
    assert len(shown.warned) == 4


def test_of_each_blesser_the_one_that_lasts_longest_is_shown(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    for number in range(3):
        shown.put(f"a{number}", blessing(until=EPOCH + DAY + number, serial=number))
    shown.put("b", blessing("other"))
    assert shown.now() == {blessing(until=EPOCH + DAY + 2, serial=2), blessing("other")}


def test_what_is_written_replaced_or_taken_away_is_noticed(tmp_path: Path) -> None:
    shown = Shown(tmp_path / "blessings")
    assert shown.now() == set()
    shown.path.mkdir()
    shown.put("a", blessing())
    assert shown.now() == {blessing()}
    shown.put("a", blessing(serial=2))
    assert shown.now() == {blessing(serial=2)}
    (shown.path / "a.bless").unlink()
    assert shown.now() == set()


def test_no_more_are_shown_than_an_announcement_may_have(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    for number in range(MAX_BLESSINGS + 4):
        shown.put(f"a{number}", blessing(f"b{number}", until=EPOCH + DAY + number))
    assert shown.now() == {blessing(f"b{number}", until=EPOCH + DAY + number) for number in range(4, MAX_BLESSINGS + 4)}
