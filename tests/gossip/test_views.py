"""What introducers have shown, compared: who hides what others show, and only they. REQUIREMENTS D25."""

from commonhold.formats.pin import SpkiPin
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.views import ENDING, GRACE, Fault, Finding, Seen, View, findings
from tests.gossip.statements import EPOCH, announced, pin
from tests.gossip.transcripts import record

NOW = float(EPOCH)
LONG_AGO = NOW - 10 * GRACE
X, Y, Z = pin("x"), pin("y"), pin("z")
OLD, NEW, SAME = (record(announced("a", number, label=label)) for number, label in ((1, ""), (2, "p"), (2, "q")))


def view(server: SpkiPin, *statements: object, since: float = LONG_AGO) -> View:
    return View(server, since, Ids(one.id for one in statements))  # type: ignore[attr-defined]


def test_who_shows_nothing_an_older_one_or_another_one_is_named_with_the_evidence() -> None:
    counts, other = sorted((NEW, SAME), key=lambda one: one.id, reverse=True)
    seen = [Seen(counts, LONG_AGO)]
    for shows, fault in ((None, Fault.HIDES), (OLD, Fault.OUTDATED), (other, Fault.DIFFERENT)):
        views = [view(X, counts), view(Y, *([shows] if shows else [])), view(Z, counts)]
        assert findings(views, seen, NOW) == [Finding(Y, fault, counts, shows.id if shows else None, (X, Z))]


def test_nobody_is_named_where_all_show_the_same_or_one_shows_a_later_one() -> None:
    assert findings([view(X, NEW), view(Y, NEW)], [Seen(NEW, LONG_AGO)], NOW) == []
    assert findings([view(X, OLD), view(Y, NEW)], [Seen(OLD, LONG_AGO)], NOW) == []


def test_what_nobody_shows_any_more_is_hidden_by_nobody() -> None:
    assert findings([view(X), view(Y)], [Seen(NEW, LONG_AGO)], NOW) == []


def test_news_and_newcomers_have_a_time_of_grace() -> None:
    views = [view(X, NEW), view(Y)]
    assert findings(views, [Seen(NEW, NOW - GRACE + 1)], NOW) == []
    assert findings(views, [Seen(NEW, NOW - GRACE)], NOW)
    assert findings([view(X, NEW), view(Y, since=NOW - GRACE + 1)], [Seen(NEW, LONG_AGO)], NOW) == []
    assert findings([view(X, NEW), view(Y, since=NOW - GRACE)], [Seen(NEW, LONG_AGO)], NOW)


def test_about_what_is_about_to_end_clocks_may_differ() -> None:
    record_ = record(announced("a", until=EPOCH + ENDING))
    views = [view(X, record_), view(Y)]
    assert findings(views, [Seen(record_, LONG_AGO)], NOW) == []
    assert findings(views, [Seen(record_, LONG_AGO)], NOW - 1)
