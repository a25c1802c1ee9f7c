"""What every mesh must do, simulated or real. A test module makes the `grounds` fixture and imports these."""

from collections.abc import Callable, Iterable
from typing import Protocol

from commonhold.crypto.statements import signed
from commonhold.formats import dagcbor
from commonhold.formats.blessing import STORAGE, Purpose
from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Record
from commonhold.gossip.views import GRACE, Fault
from tests.gossip.liars import hide
from tests.gossip.statements import DAY, GRID, announced, grid_of, key, pin, revoked, seed

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)
OTHER = grid_of("other")


class Grounds(Protocol):
    """Hosts, by their names, and a time that passes."""

    @property
    def now(self) -> float: ...

    def introducer(self, name: str, known: Iterable[str] = (), grids: Iterable[GridId] = (GRID,)) -> None:
        """Have an introducer come up, or come back, and announce itself."""
        ...

    def subscriber(self, name: str, known: Iterable[str], asks: Iterable[Subscription] = ()) -> None: ...

    def publish(self, name: str, data: bytes, kind: Kind = Kind.ANNOUNCEMENT) -> Id: ...

    def stop(self, name: str) -> None:
        """Have a host be gone."""
        ...

    def machine(self, name: str) -> Machine: ...

    def learned(self, name: str) -> list[Record]: ...

    def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass until something is so, within two minutes."""
        ...

    def wait(self, seconds: float) -> None: ...


def _has(grounds: Grounds, found: Id, *names: str) -> bool:
    return all(grounds.machine(name).find(found) is not None for name in names)


def _announced(grounds: Grounds, name: str, number: int = 1, blessers: tuple[str, ...] = ("blesser",)) -> bytes:
    return announced(name, number, blessers, until=int(grounds.now) + DAY)


def test_one_address_leads_to_all(grounds: Grounds) -> None:
    grounds.introducer("i0")
    names = [f"i{number}" for number in range(5)]
    for name in names[1:]:
        grounds.introducer(name, ("i0",))
    grounds.until(lambda: all(len(grounds.machine(name)) == 5 for name in names))
    grounds.subscriber("client", ("i3",), ASKS)
    grounds.until(lambda: len(grounds.machine("client").views()) == 3)
    assert {record.key for record in grounds.learned("client")} == {key(name) for name in names}


def test_what_is_announced_anywhere_reaches_who_asked_for_it(grounds: Grounds) -> None:
    for name, known in (("i0", ()), ("i1", ("i0",)), ("i2", ("i0",))):
        grounds.introducer(name, known)
    grounds.subscriber("server", ("i1",))
    grounds.subscriber("client", ("i2",), ASKS)
    found = grounds.publish("server", _announced(grounds, "server"))
    taken_back = grounds.publish("server", revoked("blesser", until=int(grounds.now) + DAY), Kind.REVOCATIONS)
    grounds.until(lambda: _has(grounds, found, "client") and _has(grounds, taken_back, "client"))
    newer = grounds.publish("server", _announced(grounds, "server", 2))
    grounds.until(lambda: _has(grounds, newer, "i0", "i1", "i2", "client"))
    assert [record.id for record in grounds.learned("client") if record.slot == found.slot] == [found, newer]


def test_a_subscriber_is_given_nothing_but_what_it_asked_for(grounds: Grounds) -> None:
    grounds.introducer("i0")
    grounds.subscriber("server", ("i0",))
    grounds.subscriber("client", ("i0",), ASKS)
    others = (
        _announced(grounds, "server", blessers=("nobody",)),
        announced("server", purpose=Purpose("other"), until=int(grounds.now) + DAY),
        announced("server", purpose=Purpose("unblessed"), blessers=(), until=int(grounds.now) + DAY),
    )
    found = [grounds.publish("server", data) for data in others]
    found.append(grounds.publish("server", revoked("nobody", until=int(grounds.now) + DAY), Kind.REVOCATIONS))
    grounds.until(lambda: all(_has(grounds, one, "i0") for one in found))
    wanted = grounds.publish("server", announced("other", until=int(grounds.now) + DAY))
    grounds.until(lambda: _has(grounds, wanted, "client"))
    grounds.wait(5)
    assert {record.id for record in grounds.machine("client").records()} == {
        wanted, *(record.id for record in grounds.machine("i0").records() if record.key == key("i0"))
    }  # fmt: skip


def test_one_that_comes_back_empty_catches_up(grounds: Grounds) -> None:
    grounds.introducer("i0")
    grounds.introducer("i1", ("i0",))
    grounds.subscriber("server", ("i0",))
    first = grounds.publish("server", _announced(grounds, "server"))
    grounds.until(lambda: _has(grounds, first, "i1"))
    grounds.stop("i1")
    second = grounds.publish("server", _announced(grounds, "server", 2))
    grounds.until(lambda: _has(grounds, second, "i0"))
    grounds.introducer("i1", ("i0",))
    grounds.until(lambda: _has(grounds, second, "i1"))


def test_fields_that_nobody_knows_reach_everybody_byte_for_byte(grounds: Grounds) -> None:
    for name, known in (("i0", ()), ("i1", ("i0",)), ("i2", ("i1",))):
        grounds.introducer(name, known)
    grounds.subscriber("server", ("i0",))
    grounds.subscriber("client", ("i2",), ASKS)
    plain = dagcbor.decode(dagcbor.decode(_announced(grounds, "server"))["body"])
    body = dagcbor.encode(plain | {"weather": {"deep": [1, b"\0", "ü"]}, "zz": b"\xff" * 100})
    data = signed(Kind.ANNOUNCEMENT, body, seed("server")).encoded
    found = grounds.publish("server", data)
    grounds.until(lambda: _has(grounds, found, "client"))
    assert [record.data for record in grounds.learned("client") if record.id == found] == [data]


def test_nothing_of_another_grid_comes_in(grounds: Grounds) -> None:
    grounds.introducer("both", grids=(GRID, OTHER))
    grounds.introducer("one", ("both",))
    foreign = grounds.publish("both", announced("server", grid=OTHER, until=int(grounds.now) + DAY))
    found = grounds.publish("both", _announced(grounds, "server"))
    grounds.until(lambda: _has(grounds, found, "one"))
    grounds.wait(5)
    assert not _has(grounds, foreign, "one") and {one.grid for one in grounds.machine("one").records()} == {GRID}
    assert _has(grounds, foreign, "both")


def test_an_introducer_that_hides_a_server_is_named(grounds: Grounds) -> None:
    for name, known in (("i0", ()), ("i1", ("i0",)), ("liar", ("i0",))):
        grounds.introducer(name, known)
    grounds.until(lambda: all(len(grounds.machine(name)) == 3 for name in ("i0", "i1", "liar")))
    data = _announced(grounds, "server")
    hidden = grounds.publish("i1", data)
    hide(grounds.machine("liar"), hidden.slot)
    grounds.subscriber("client", ("i0", "i1", "liar"), ASKS)
    grounds.until(lambda: len(grounds.machine("client").views()) == 3 and _has(grounds, hidden, "client", "liar"))
    assert grounds.machine("client").findings(grounds.now) == []
    grounds.wait(GRACE + 10)
    (finding,) = grounds.machine("client").findings(grounds.now)
    assert (finding.server, finding.fault, finding.record.data) == (pin("liar"), Fault.HIDES, data)
