"""Kept sets that end: what others have of them stays, all else goes, and who could not be told is named."""

from pathlib import Path

import pytest

from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book
from commonhold.exchange.ending import end
from tests.exchange.grids import Client, Grid
from tests.exchange.test_keeping import blocks, kept, on_grid, read


async def ended(book: Book, client: Client, name: str) -> dict[bytes, Kind]:
    """End a set; who could not be told, and why."""
    found = await end([PackSeed(seed) for seed in book.alone(name)], client, list(client.known))
    book.end_set(name)
    return {pin: error.kind for pin, error in found.failed.items()}


async def used(client: Client) -> list[int]:
    return [(await server.use()).used for server in await client.all()]


def test_of_two_sets_that_share_packs_each_ends_for_itself(tmp_path: Path) -> None:
    first, more = blocks(1, *[30_000] * 5), blocks(2, 2000)
    both = {**first, **more}

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, first, name="first", seed=b"1" * 32)
        await kept(there, client, book, both, name="second", seed=b"2" * 32)
        before = await used(client)
        assert not await ended(book, client, "first")
        assert [one.name for one in book.sets()] == ["second"]
        await read(there, client, both, b"2" * 32)
        after = await used(client)
        assert all(0 < left < had for left, had in zip(after, before, strict=True))
        with pytest.raises(HoldError):
            await read(there, client, first, b"1" * 32)
        assert not await ended(book, client, "second")
        assert await used(client) == [0] * 5 and not book.sets()

    on_grid(tmp_path, 5, work)


def test_one_tree_under_two_names_is_there_until_both_have_ended(tmp_path: Path) -> None:
    have = blocks(3, 5000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have, name="one")
        await kept(there, client, book, have, name="other")
        await ended(book, client, "one")
        await read(there, client, have)
        await ended(book, client, "other")
        assert await used(client) == [0] * 5

    on_grid(tmp_path, 5, work)


def test_what_was_let_go_is_sent_again_when_it_is_kept_again(tmp_path: Path) -> None:
    have = blocks(4, 5000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        await ended(book, client, "tree")
        await kept(there, client, book, have)
        await read(there, client, have)

    on_grid(tmp_path, 5, work)


def test_who_is_away_is_named_and_who_has_nothing_is_not(tmp_path: Path) -> None:
    """B3: one that lets us in no more is asked for what it has; that takes no credential."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        client.refused[there.servers[5].pin] = "not blessed"
        await kept(there, client, book, blocks(5, 5000))
        await there.kill(0)
        for number in (1, 5):
            client.barred.add(there.servers[number].pin)
        failed = await ended(book, client, "tree")
        assert failed == {there.servers[0].pin: Kind.UNREACHABLE, there.servers[1].pin: Kind.BLESSING}
        assert [bool(server.files) for server in there.servers[1:]] == [True, False, False, False, False]

    on_grid(tmp_path, 6, work)


def test_a_set_that_counts_on_what_was_let_go_meanwhile_is_not_noted(tmp_path: Path) -> None:
    have = blocks(6, 5000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        (one,), packs = book.sets(), list(book.packs("tree"))
        await ended(book, client, "tree")
        with pytest.raises(HoldError) as caught:
            book.put_set(one, packs)
        assert caught.value.kind is Kind.CHANGED and not book.sets()

    on_grid(tmp_path, 5, work)
