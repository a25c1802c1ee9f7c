"""What an introducer knows outlasts it: as it was, judged again, and no more than it keeps."""

from contextlib import closing
from pathlib import Path
from typing import Any

from commonhold.formats.statement import Kind
from commonhold.gossip.values import Bounds, Config
from commonhold.mesh.memory import Memory
from commonhold.mesh.mesh import Mesh
from tests.gossip.statements import EPOCH, GRID, announced, grid_of, revoked
from tests.mesh.meshes import Meshes


def _mesh(now: float = EPOCH, **config: Any) -> Mesh:
    usual: dict[str, Any] = {"grids": frozenset((GRID,)), "introducer": True}
    return Mesh(Config(**usual | config), Meshes(0.0, now).setting(()))


def _restored(path: Path, now: float = EPOCH, **config: Any) -> Mesh:
    mesh = _mesh(now, **config)
    with closing(Memory(path)) as memory:
        memory.restore(mesh)
    return mesh


def _kept(path: Path, *statements: bytes) -> Mesh:
    mesh = _mesh()
    for data in statements:
        mesh.restore(Kind.REVOCATIONS if b"krevocations" in data else Kind.ANNOUNCEMENT, data)
    with closing(Memory(path)) as memory:
        memory.keep(mesh.machine.records())
    return mesh


def test_what_was_known_is_known_again_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "db"
    statements = announced("a"), announced("b", blessers=()), revoked("blesser")
    before = _kept(path, *statements)
    after = _restored(path)
    assert after.machine.state == before.machine.state and len(after.machine) == 3
    assert {one.data for one in after.machine.records()} == {
        announced("a"),
        announced("b", blessers=()),
        revoked("blesser"),
    }
    assert after.machine.own() == []


def test_who_came_first_is_first_again_also_with_news(tmp_path: Path) -> None:
    path = tmp_path / "db"
    mesh = _kept(path, *(announced(f"s{number}", blessers=()) for number in range(5)))
    with closing(Memory(path)) as memory:
        mesh.restore(Kind.ANNOUNCEMENT, announced("s1", 2, blessers=()))
        memory.keep(mesh.machine.records())
    order = [one.data for one in _restored(path).machine.records()]
    assert order == [announced(f"s{number}", 2 if number == 1 else 1, blessers=()) for number in range(5)]


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "db"
    _kept(path, announced("a"), announced("b"))
    with closing(Memory(path)) as memory:
        memory.keep([one for one in _restored(path).machine.records() if one.data == announced("a")])
    assert [one.data for one in _restored(path).machine.records()] == [announced("a")]


def test_what_ended_or_is_of_another_grid_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "db"
    _kept(path, announced("a", until=EPOCH + 100), announced("b"))
    assert [one.data for one in _restored(path, EPOCH + 1000).machine.records()] == [announced("b")]
    assert len(_restored(path, grids=frozenset((grid_of("x"),))).machine) == 0


def test_more_strangers_come_back_than_could_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "db"
    few = Bounds(newcomers=3)
    _kept(path, *(announced(f"s{number}", blessers=()) for number in range(10)))
    assert len(_restored(path, bounds=few).machine) == 10


def test_a_statement_that_was_damaged_on_the_disk_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "db"
    _kept(path, announced("a"), announced("b"))
    with closing(Memory(path)) as memory, memory._db.writing("damage") as db:
        db.execute("update statements set data = zeroblob(200) where number = 1")
        db.execute("insert into statements (slot, id, kind, data) values (x'00', x'00', 'nonsense', x'00')")
    assert [one.data for one in _restored(path).machine.records()] == [announced("b")]


def test_a_damaged_file_gives_way_to_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"no database" * 1000)
    assert len(_restored(path).machine) == 0
    _kept(path, announced("a"))
    assert len(_restored(path).machine) == 1
