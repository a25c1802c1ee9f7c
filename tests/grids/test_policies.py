"""Policies: when one is due, what is said of one that is late, and the book of them."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.grids import health, policies
from commonhold.grids.policies import Generation, Policy, PolicyBook

NOW = 1_000_000_000
DAY = 86_400
ONE = Policy("letters", (b"a", b"letters"), "/node.sock", DAY, 2, NOW, NOW)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[PolicyBook]:
    with closing(PolicyBook(tmp_path / policies.FILE)) as found:
        yield found


def test_a_new_one_is_due_at_once_and_then_about_a_period_later() -> None:
    assert policies.is_due(ONE, NOW)
    early, late = (policies.after_success(ONE, NOW, lambda at=at: at) for at in (0.0, 0.999))  # type: ignore[misc]
    assert early == NOW + DAY * 9 // 10 and NOW + DAY < late <= NOW + DAY * 11 // 10
    waiting = dataclasses.replace(ONE, next=early)
    assert not policies.is_due(waiting, early - 1) and policies.is_due(waiting, early)


def test_what_a_wrong_clock_has_put_off_for_long_is_due() -> None:
    assert policies.is_due(dataclasses.replace(ONE, next=NOW + 2 * DAY + 1), NOW)
    assert policies.is_due(dataclasses.replace(ONE, next=NOW + DAY, ending=True), NOW)


def test_after_failures_it_is_tried_less_and_less_often_but_once_a_period() -> None:
    waits = [
        policies.after_failure(dataclasses.replace(ONE, failures=count), NOW, lambda: 0.5) - NOW
        for count in (0, 1, 2, 9, 999)
    ]
    assert waits == [900, 1800, 3600, 6 * 3600, 6 * 3600]
    hourly = dataclasses.replace(ONE, every=3600, failures=9)
    assert policies.after_failure(hourly, NOW, lambda: 0.99) == NOW + 3600
    assert {policies.after_failure(ONE, NOW, lambda at=at: at) - NOW for at in (0.0, 0.999)} == {450, 1349}  # type: ignore[misc]


def test_two_periods_without_success_are_told_and_why() -> None:
    assert policies.wrong(ONE, NOW + 2 * DAY) is None
    assert policies.wrong(ONE, NOW + 2 * DAY + 1) == "by its policy nothing was kept yet"
    done = dataclasses.replace(ONE, done=NOW, said="no server")
    assert policies.wrong(done, NOW + 5 * DAY) == "by its policy nothing was kept for 5 days: no server"
    assert policies.wrong(dataclasses.replace(done, every=3600), NOW + 7300) is not None
    found = health.regular([("letters", "late"), ("b", None)])
    assert [(one.check, one.status.name) for one in found] == [("policies", "WARN")] and "letters: late" in found[
        0
    ].said
    assert [one.status.name for one in health.regular([("b", None)])] == ["OK"] and not health.regular([])


def test_the_book_has_what_was_put_and_what_came_of_it(book: PolicyBook) -> None:
    book.put(ONE)
    root = Policy("me", (), "/n", 3600, 1, NOW, NOW + 5)
    book.put(root)
    assert book.all() == [ONE, root] and book.find("x") is None
    book.failed(ONE, "why", NOW + 7)
    book.failed(ONE, "why now", NOW + 8)
    assert book.find("letters") == dataclasses.replace(ONE, next=NOW + 8, said="why now", failures=2)
    book.succeeded(ONE, NOW + 9, NOW + DAY)
    assert book.find("letters") == dataclasses.replace(ONE, next=NOW + DAY, done=NOW + 9)
    book.end("letters")
    assert book.all()[0].ending


def test_to_put_it_again_changes_period_and_generations_and_brings_it_forward_only(book: PolicyBook) -> None:
    book.put(ONE)
    book.succeeded(ONE, NOW, NOW + DAY)
    book.put(dataclasses.replace(ONE, every=3600, generations=5, next=NOW + 3600, made=NOW + 50))
    found = book.find("letters")
    assert found is not None and (found.every, found.generations, found.next) == (3600, 5, NOW + 3600)
    assert (found.made, found.done) == (NOW, NOW)
    book.put(dataclasses.replace(ONE, every=9 * DAY, next=NOW + 9 * DAY))
    found = book.find("letters")
    assert found is not None and found.next == NOW + 3600


def test_generations_are_listed_in_the_order_in_which_they_were_begun(book: PolicyBook) -> None:
    book.put(ONE)
    for name in ("z", "a", "m"):
        book.begin("letters", Generation(name, NOW))
    book.begin("other", Generation("x", NOW))
    book.whole("z", "root")
    book.strike("a")
    assert book.generations("letters") == [Generation("z", NOW, "root"), Generation("m", NOW)]
    book.remove("letters")
    assert not book.all() and not book.generations("letters") and book.generations("other")


def test_a_book_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with closing(PolicyBook(tmp_path / policies.FILE)) as book:
        book._db._db.execute("pragma user_version = 2")
    with pytest.raises(HoldError) as caught:
        PolicyBook(tmp_path / policies.FILE)
    assert caught.value.kind is Kind.VERSION


def test_where_nothing_is_kept_by_policy_there_is_no_file(tmp_path: Path) -> None:
    assert policies.late(tmp_path, NOW) == () and not (tmp_path / policies.FILE).exists()
