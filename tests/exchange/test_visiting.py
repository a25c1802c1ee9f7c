"""Visits to real servers over real connections: what is missing is mended, leases last, and who leaves is left."""

import contextlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from commonhold.authority.blessed import Verdict
from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book
from commonhold.exchange.checking import Health, look
from commonhold.exchange.ending import end
from commonhold.exchange.packing import LONGER
from commonhold.exchange.renewing import renew
from commonhold.exchange.server import StorageServer
from commonhold.exchange.tending import LEASE, State, Visit
from commonhold.exchange.visiting import Kept, Mending, Survey, Visited, survey
from commonhold.formats.inventory import Packed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.storage.keeping import GRACE, Keeper
from tests.exchange.grids import DAY, Client, Grid, Server, now
from tests.exchange.test_keeping import blocks, kept, on_grid, read
from tests.exchange.test_renewing import Calendar

LOOK = Visit(False, None)
HAVE = blocks(1, *[40_000] * 3)


def free(_packed: Packed) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def all_of(book: Book) -> Kept:
    (one,) = book.sets()
    return Kept(tuple(book.packs(one.name)), book.inventory(one))


async def no_pause() -> None:
    pass


def listen_to(keeper: Keeper, call: str, heard: Callable[[Sequence[ShareIndex]], None]) -> None:
    """Hear which indexes a server is asked for, in which order."""
    name = {"find": "sizes"}.get(call, call)
    before = getattr(keeper, name)

    def asked(*given: Any) -> Any:
        heard(next(one for one in given if isinstance(one, list | tuple)))
        return before(*given)

    setattr(keeper, name, asked)


async def surveyed(there: Grid, client: Client, book: Book, what: Visit = LOOK) -> Survey:
    return await survey(all_of(book).all, client, list(client.known), what, there.tools, no_pause)


async def visited(
    there: Grid, client: Client, book: Book, what: Visit = LOOK, waits: Callable[[SpkiPin], bool] = lambda _: False
) -> Visited:
    found = await surveyed(there, client, book, what)
    return await Mending(all_of(book), client, there.tools, free, now() + LEASE).mended(found, waits)


def holding(there: Grid) -> list[int]:
    return [number for number, server in enumerate(there.servers) if server.files]


class Noted:
    """Servers, and a list of who was asked for. `there` is what was opened."""

    def __init__(self, client: Client, asked: list[SpkiPin | None]) -> None:
        self.there: list[StorageServer] = []
        self._client = client
        self._asked = asked

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        return self._client.verdicts()

    async def open(self, server: SpkiPin) -> StorageServer:
        self._asked.append(server)
        self.there.append(await self._client.open(server))
        return self.there[-1]


def test_servers_are_asked_one_after_the_other_with_a_pause_after_each(tmp_path: Path) -> None:
    """D20: no two of them are called in one moment, however many packs there are."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        asked: list[SpkiPin | None] = []

        async def pause() -> None:
            asked.append(None)

        order = list(client.known)
        random.Random(1).shuffle(order)
        found = await survey(all_of(book).all, Noted(client, asked), order, LOOK, there.tools, pause)
        assert all(one.whole for one in found.healths())
        runs = [set(run) for pausing, run in itertools.groupby(asked, lambda one: one is None) if not pausing]
        assert runs == [{pin} for pin in order] and asked.count(None) == len(order) - 1

    on_grid(tmp_path, 5, work)


def test_each_server_is_hung_up_on_before_the_next_is_called(tmp_path: Path) -> None:
    """D18: connections that end in one moment, day by day, would show that they are one client's."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        noted, pauses = Noted(client, []), 0

        async def pause() -> None:
            nonlocal pauses
            pauses += 1
            assert noted.there and all(one.is_lost for one in noted.there)

        await survey(all_of(book).all, noted, list(client.known), LOOK, there.tools, pause)
        assert pauses == 4 and all(one.is_lost for one in noted.there)
        assert not (await client.open(noted.there[0].pin)).is_lost

    on_grid(tmp_path, 5, work)


def test_no_two_servers_are_asked_for_packs_in_the_same_order(tmp_path: Path) -> None:
    """D18: neither when they are looked for, nor renewed, nor let go."""
    packs = [Packed(bytes([number]) * 32, 1000, 3, 5, b"") for number in range(12)]

    async def work(there: Grid, client: Client, book: Book) -> None:
        heard: dict[str, list[list[int]]] = {"find": [], "renew": [], "drop": []}

        def note(call: str, server: Server) -> Callable[[Sequence[ShareIndex]], None]:
            numbers = {PackSeed(one.seed).index(server.pin): number for number, one in enumerate(packs)}
            return lambda indexes: heard[call].append([numbers[one] for one in indexes])

        for server in there.servers:
            for call in heard:
                listen_to(server.keeper, call, note(call, server))
        found = await survey(packs, client, list(client.known), LOOK, there.tools, no_pause)
        await renew(packs, client, list(client.known), now() + LEASE, there.tools)
        await end([PackSeed(one.seed) for one in packs], client, list(client.known))
        assert not any(one.placed for one in found.healths())
        for orders in heard.values():
            assert len(orders) == 5 and len({tuple(one) for one in orders}) == 5
            assert all(sorted(one) == list(range(12)) for one in orders)

    on_grid(tmp_path, 5, work)


def test_shares_are_looked_at_in_another_order_at_each_server(tmp_path: Path) -> None:
    sets = {f"set {number}": blocks(number + 1, 1000) for number in range(4)}

    async def work(there: Grid, client: Client, book: Book) -> None:
        for number, (name, have) in enumerate(sets.items()):
            await kept(there, client, book, have, name=name, seed=bytes([number]) * 32)
        packs = [packed for name in sets for packed in book.packs(name)]
        looked: dict[SpkiPin, list[int]] = {}

        async def looking(packed: Packed, servers: Sequence[StorageServer], **how: Any) -> Health:
            looked.setdefault(servers[0].pin, []).append(packs.index(packed))
            return await look(packed, servers, **how)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("commonhold.exchange.visiting.look", looking)
            await survey(packs, client, list(client.known), LOOK, there.tools, no_pause)
        assert all(sorted(order) == list(range(4)) for order in looked.values()) and len(looked) == 5
        assert len({tuple(order) for order in looked.values()}) > 1

    on_grid(tmp_path, 5, work)


def test_nothing_is_done_to_what_is_whole(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        before = [sorted(server.files) for server in there.servers]
        found = await visited(there, client, book)
        assert (found.state, found.said, found.until) == (State.WHOLE, "", None) and len(found.reached) == 6
        assert [sorted(server.files) for server in there.servers] == before

    on_grid(tmp_path, 6, work)


def test_leases_last_longer_after_a_visit_that_renews_them(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        calendar = Calendar()
        calendar.rule(there.servers)
        await kept(there, client, book, HAVE)
        calendar.days = 60
        until = calendar() + LEASE
        assert (await visited(there, client, book, Visit(False, until))).until == until
        calendar.days = (LEASE + LONGER + GRACE) // DAY + 1
        calendar.sweep(there.servers)
        assert (await visited(there, client, book)).state is State.WHOLE
        await read(there, client, HAVE)

    on_grid(tmp_path, 5, work)


def test_what_was_lost_is_mended_and_what_is_only_away_is_waited_for(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        gone = there.servers[holding(there)[0]]
        await there.kill(there.servers.index(gone))
        found = await visited(there, client, book, Visit(False, now() + LEASE), waits=lambda pin: pin == gone.pin)
        assert found.state is State.READABLE and list(found.away) == [gone.pin] and "away" in found.said
        assert found.until is None  # what that one has ends as before
        found = await visited(there, client, book, Visit(False, now() + LEASE))
        assert found.state is State.WHOLE and found.until is not None
        for number in [one for one in holding(there) if there.servers[one] is not gone][:2]:
            await there.kill(number)
        await read(there, client, HAVE)

    on_grid(tmp_path, 7, work)


def test_a_deep_visit_finds_and_mends_what_a_disk_has_spoilt(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        for path in there.servers[1].files:
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        spoilt = [path.read_bytes() for path in there.servers[1].files]
        assert (await visited(there, client, book)).state is State.WHOLE
        assert (await visited(there, client, book, Visit(True, None))).state is State.WHOLE
        assert not set(spoilt) & {path.read_bytes() for path in there.servers[1].files}
        assert all(not one.damaged for one in (await surveyed(there, client, book, Visit(True, None))).healths())

    on_grid(tmp_path, 5, work)


def test_a_share_that_its_server_cannot_give_out_is_made_again_there(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        for path in there.servers[3].files:
            path.write_bytes(b"")
        assert (await visited(there, client, book)).state is State.WHOLE

    on_grid(tmp_path, 5, work)


def test_an_inventory_that_is_lost_altogether_is_made_again_from_the_book(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        (one,) = book.sets()
        for pin in client.known:
            await (await client.open(pin)).drop([PackSeed(one.seed).index(pin)])
        assert (await visited(there, client, book)).state is State.WHOLE
        await read(there, client, HAVE)

    on_grid(tmp_path, 5, work)


def test_a_pack_that_is_lost_is_missing_and_the_others_are_looked_after(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        (packed,) = book.packs("tree")
        for pin in list(client.known)[:3]:
            await (await client.open(pin)).drop([PackSeed(packed.seed).index(pin)])
        found = await visited(there, client, book)
        assert found.state is State.MISSING and found.until is None

    on_grid(tmp_path, 5, work)


def test_too_few_servers_to_mend_with_are_said_and_what_is_there_stays(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        await there.kill(2)
        found = await visited(there, client, book)
        assert found.state is State.READABLE and "4 servers can have a share" in found.said
        await read(there, client, HAVE)

    on_grid(tmp_path, 5, work)


def test_where_nobody_can_be_reached_it_is_an_error_and_no_state(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        for number in range(5):
            await there.kill(number)
        with pytest.raises(HoldError) as caught:
            await visited(there, client, book)
        assert caught.value.kind is Kind.UNREACHABLE

    on_grid(tmp_path, 5, work)


def test_what_a_leaving_server_has_is_moved_to_others_and_then_dropped(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        leaver = there.servers[holding(there)[0]]
        client.leaving.add(leaver.pin)
        seen = (await surveyed(there, client, book)).healths()
        moving = [one for one in seen if leaver.pin in one.leaving]
        assert moving and all(one.readable and not one.whole for one in moving)
        assert (await visited(there, client, book)).state is State.WHOLE
        assert not leaver.files and (await (await client.open(leaver.pin)).use()).used == 0
        await read(there, client, HAVE)

    on_grid(tmp_path, 7, work)


def test_what_two_leaving_servers_have_is_read_from_where_it_takes_them(tmp_path: Path) -> None:
    """k shares are left with them, fewer without."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        having = holding(there)
        client.leaving |= {there.servers[number].pin for number in having[:2]}
        await there.kill(having[2])
        assert (await visited(there, client, book)).state is State.WHOLE

    on_grid(tmp_path, 9, work)


def test_what_a_leaving_server_has_stays_where_nobody_else_can_take_it(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        leaver = there.servers[0]
        client.leaving.add(leaver.pin)
        found = await visited(there, client, book)
        assert found.state is State.READABLE and leaver.files

    on_grid(tmp_path, 5, work)


def test_what_is_being_let_go_is_not_mended(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        (packed,) = book.packs("tree")
        pin = there.servers[0].pin
        await (await client.open(pin)).drop([PackSeed(packed.seed).index(pin)])

        def ending(_packed: Packed) -> contextlib.AbstractContextManager[None]:
            raise HoldError("mend", Kind.CHANGED, "tree", "it was ended meanwhile")

        found = await surveyed(there, client, book)
        came = await Mending(all_of(book), client, there.tools, ending, now() + LEASE).mended(found, lambda _: False)
        assert came.state is State.READABLE and "ended meanwhile" in came.said

    on_grid(tmp_path, 5, work)


def test_two_accounts_that_keep_the_same_tree_each_find_their_own_shares_of_it(tmp_path: Path) -> None:
    """Under one index a server has both of theirs: bob's packs are cut in another way than alice's."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, HAVE)
        bob, other = there.client("bob"), Book(tmp_path / "bob.sqlite")
        await kept(there, bob, other, {**HAVE, **blocks(2, 1000)})
        files = [sorted(server.files) for server in there.servers]
        for one, theirs in ((client, book), (bob, other)):
            found = await visited(there, one, theirs, Visit(True, now() + LEASE))
            assert found.state is State.WHOLE and found.until is not None
        assert [sorted(server.files) for server in there.servers] == files
        await bob.close()
        other.close()

    on_grid(tmp_path, 5, work)
