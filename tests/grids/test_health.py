"""Every finding about a grid, from what was seen, in both directions."""

import pytest

from commonhold.authority.blessed import Candidate, Verdict, may_upload
from commonhold.authority.lists import Lists
from commonhold.errors import HoldError, Kind
from commonhold.formats.blessing import STORAGE
from commonhold.formats.hint import TcpHint
from commonhold.grids import health
from commonhold.grids.marked import Place, Problem
from commonhold.grids.seen import (
    Account,
    Apart,
    Asked,
    Hidden,
    How,
    Lease,
    ListSeen,
    Look,
    Seat,
    Seen,
    ServerSeen,
)
from commonhold.host.health import Finding, Status
from commonhold.transport.rules import Rules, Way
from tests.authority.parties import DAY, HOUR, NOW, blessing, candidate, grid, lists, pin, revocations
from tests.grids.made import TRUST

PROXY = TcpHint("127.0.0.1", 9050)
GIB = 1 << 30
PLAIN = Rules()


def told(found: Finding | list[Finding]) -> list[tuple[str, str]]:
    """Status and words of each; what is wrong has a line that helps, what is right has none; each is one line."""
    findings = [found] if isinstance(found, Finding) else found
    for one in findings:
        assert (one.remedy is None) == (one.status is Status.OK) and one.said
        assert "\n" not in one.said + (one.remedy or "")
    return [(one.status.value, f"{one.said} | {one.remedy}") for one in findings]


def only(found: Finding | list[Finding], status: str, *words: str) -> None:
    """One finding of this status, that says all of this."""
    ((severity, said),) = told(found)
    assert severity == status and all(word in said for word in words), (severity, said)


def verdict(*blessings: bytes, known: Lists | None = None, now: int = NOW) -> Verdict:
    asked = Candidate(pin("attic"), grid(), STORAGE, blessings or (blessing(),))
    return may_upload(asked, TRUST, known or lists(), now)


def server(name: str = "attic", how: How = How.UP, upload: Verdict | None = None, **use: int) -> ServerSeen:
    return ServerSeen(name, upload or verdict(), Look(name, how, "" if how is How.UP else "why"), **use)


# ── clocks ──


@pytest.mark.parametrize(
    ("apart", "status", "words"),
    [
        ([("attic", 0), ("barn", 299)], "OK", ("2 others agree",)),
        ([("attic", 7200), ("barn", 7300)], "FAIL", ("attic, barn", "2 hours ahead", "this one that is wrong", "ntp")),
        ([("attic", -3 * DAY), ("barn", -3 * DAY), ("loft", 0)], "FAIL", ("attic, barn", "3 days behind", "this one")),
        ([("attic", 7200), ("barn", 0), ("loft", 0)], "WARN", ("clock of attic", "2 agree", "machine of attic")),
        ([("attic", -7200), ("barn", 0)], "WARN", ("clock of attic", "behind", "that one")),
        ([("attic", 301)], "WARN", ("5 minutes ahead", "one of the two")),
    ],
)
def test_the_clock_that_most_are_apart_from_is_the_wrong_one(
    apart: list[tuple[str, int]], status: str, words: tuple[str, ...]
) -> None:
    only(health.clock([Apart(*one) for one in apart]), status, *words)


def test_where_as_many_agree_as_not_this_clock_is_not_blamed() -> None:
    found = told(health.clock([Apart("attic", 7200), Apart("barn", 7200), Apart("loft", 0), Apart("den", 0)]))
    assert [status for status, _ in found] == ["WARN", "WARN"]


def test_of_two_that_err_to_different_sides_neither_speaks_against_this_clock() -> None:
    found = told(health.clock([Apart("attic", 7200), Apart("barn", -7200), Apart("loft", 0)]))
    assert [status for status, _ in found] == ["WARN", "WARN"]


def test_nobody_who_said_anything_says_nothing_of_clocks() -> None:
    assert health.clock([]) == []


# ── files and rules ──


def test_a_bad_clause_is_named_by_file_and_line_and_opened_there() -> None:
    wrong = Problem(Place("override.yaml", 4, 7), "hints", "no hint")
    only(
        health.files([wrong], "/home/a b"), "FAIL", "override.yaml:4:7: hints: no hint", "+4 '/home/a b/override.yaml'"
    )
    only(health.files([Problem(Place("cache/p.yaml", 1, 1), "", "x")], "/g"), "WARN", "rm /g/cache/p.yaml")
    assert health.files([], "/g") == []


def test_many_problems_are_told_in_few_lines() -> None:
    found = health.files([Problem(Place("override.yaml", line, 1), "", "x") for line in range(1, 101)], "/g")
    assert len(found) == 9 and found[-1].said.startswith("92 more")


def test_what_others_can_read_fails_with_its_own_remedy() -> None:
    error = HoldError("read", Kind.DENIED, "/g/account.key", "mode 0644", hint="chmod 600 /g/account.key")
    only(health.private([error]), "FAIL", "mode 0644", "chmod 600 /g/account.key")


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        (Rules(anonymous=True), "FAIL"),
        (Rules(tcp=Way.TOR), "FAIL"),
        (Rules(anonymous=True, tor=PROXY), None),
        (Rules(anonymous=True, i2p=PROXY), None),
        (Rules(), None),
    ],
)
def test_rules_by_which_nothing_is_reached_fail(rules: Rules, status: str | None) -> None:
    found = told(health.rules(rules, "/g"))
    assert [each for each, _ in found] == ([status] if status else [])
    assert all("/g/grid.toml" in said for _, said in found)


def test_a_proxy_where_nobody_listens_fails() -> None:
    only(health.proxies([Look("Tor's proxy x", How.AWAY, "refused")]), "FAIL", "refused", "systemctl start tor")
    only(health.proxies([Look("I2P's proxy x", How.AWAY, "refused")]), "FAIL", "systemctl start i2pd")
    only(health.proxies([Look("Tor's proxy x")]), "OK", "Tor's proxy x answers")


# ── who speaks of the grid ──


def test_one_introducer_away_is_a_warning_and_all_are_a_failure() -> None:
    up, away, other = Look("one"), Look("two", How.AWAY, "refused"), Look("three", How.OTHER_KEY, "another")
    only(health.introducers([up], PLAIN), "OK", "1 of 1")
    only(health.introducers([up, away], PLAIN), "WARN", "two does not answer: refused", "hold servers --ask")
    assert [status for status, _ in told(health.introducers([away, away], PLAIN))] == ["FAIL", "FAIL"]
    only(health.introducers([up, other], PLAIN), "FAIL", "another key")
    only(health.introducers([], PLAIN), "OK", "names none")
    only(health.introducers([away], Rules(anonymous=True)), "OK", "not called")


def test_an_introducer_that_shows_less_is_named_with_what_it_keeps_back() -> None:
    only(
        health.hidden([Hidden("one", ("attic", "barn"), 2)]), "WARN", "one does not show attic, barn", "hold why attic"
    )


def test_a_blesser_away_is_a_warning_as_what_it_gave_holds() -> None:
    only(health.blessers([Look("b")], "family"), "OK", "1 of 1")
    only(health.blessers([Look("b", How.AWAY, "refused")], "family"), "WARN", "refused", "hold grid serve family")
    only(health.blessers([Look("b", How.OTHER_KEY, "another")], "family"), "FAIL", "another")
    only(health.blessers([Look("b", How.REFUSED, "busy")], "family"), "WARN", "busy")
    assert health.blessers([Look("b", How.UNTRIED)], "family") == []


@pytest.mark.parametrize(
    ("seen", "status", "words"),
    [
        (ListSeen("b", NOW + DAY), "OK", ("fresh until",)),
        (ListSeen("b", NOW - 299), "OK", ()),  # clocks may be a little apart
        (ListSeen("b", NOW - 300), "FAIL", ("nothing is put", "hold servers --ask")),
        (ListSeen("b"), "FAIL", ("none of b has come",)),
        (ListSeen("b", NOW - DAY, given=NOW + DAY), "WARN", ("a newer one was given", "hold servers --ask")),
        (ListSeen("b", NOW - DAY, given=NOW - HOUR), "FAIL", ("nothing is put",)),
        (ListSeen("b", NOW + DAY, contradicted=True), "FAIL", ("two revocation lists", "two hands")),
    ],
)
def test_a_list_that_is_not_fresh_stops_uploads(seen: ListSeen, status: str, words: tuple[str, ...]) -> None:
    only(health.lists([seen], NOW), status, *words)


@pytest.mark.parametrize(
    ("account", "status", "words"),
    [
        (None, "OK", ("without one",)),
        (Account((Seat("attic", NOW + DAY),)), "OK", ("let in",)),
        (Account((Seat("attic", NOW),)), "FAIL", ("attic", "no blesser")),
        (Account((Seat("attic"), Seat("barn", NOW + DAY)), Asked.GRANTED), "WARN", ("for attic;", "hold quota")),
        (Account((Seat("attic"),), Asked.WAITS), "FAIL", ("a person's word", "hold grid list family")),
        (Account((Seat("attic"),), Asked.REFUSED, "revoked"), "FAIL", ("refuses: revoked", "hold join")),
        (Account((Seat("attic"),), Asked.CLOCK, "signed at"), "FAIL", ("its clock and this one", "timedatectl")),
        (Account((), Asked.WAITS, ticket=True), "FAIL", ("invitation was not used", "a person's word")),
    ],
)
def test_an_account_without_credentials_is_told_what_it_waits_for(
    account: Account | None, status: str, words: tuple[str, ...]
) -> None:
    only(health.account(account, NOW, "family"), status, *words)


# ── servers ──


def test_no_server_at_all_fails() -> None:
    only(health.servers([], (3, 5), "/g"), "FAIL", "none is known", "hold servers --ask")


def test_as_many_servers_as_are_wanted_have_to_answer() -> None:
    only(health.servers([server()] * 5, (3, 5), "/g"), "OK", "5 of 5")
    only(health.servers([server()] * 4, (3, 5), "/g"), "WARN", "4 of 4", "3 of 5 are wanted", "/g/grid.toml")
    found = told(health.servers([server(how=How.AWAY)], (1, 1), "/g"))
    assert [status for status, _ in found] == ["WARN", "FAIL"] and "hold why attic" in found[0][1]
    only(health.servers([server(how=How.UNTRIED)], (1, 1), "/g"), "OK")


def test_a_server_with_another_key_fails() -> None:
    found = told(health.servers([server(), server("barn", How.OTHER_KEY)], (1, 1), "/g"))
    assert found == [("FAIL", f"barn {How.OTHER_KEY.value}: why; nothing was sent to it | hold why barn")]


@pytest.mark.parametrize(
    ("upload", "words"),
    [
        (verdict(now=NOW + 2 * DAY, known=lists(revocations(fresh_until=NOW + 9 * DAY))), ("expired at",)),
        (verdict(known=lists(revocations(7))), ("was taken back",)),
    ],
)
def test_a_server_that_lost_its_blessing_is_named_with_the_reason(upload: Verdict, words: tuple[str, ...]) -> None:
    only(health.blessings([server(upload=upload)]), "WARN", "attic", "hold why attic", *words)


def test_a_server_that_is_leaving_is_named_and_does_not_count() -> None:
    old = blessing(serial=3, not_after=NOW - DAY)
    leaving = may_upload(candidate(blessing(), old, leaving=True), TRUST, lists(), NOW)
    seen = [server("barn"), server(upload=leaving)]
    only(health.servers(seen, (1, 1), "/g"), "WARN", "attic is being emptied", "hold why attic")
    assert "1 of 2 that are known" in told(health.servers(seen, (1, 2), "/g"))[1][1]
    assert health.blessings(seen) == []


def test_what_a_stale_list_or_a_wrong_clock_does_to_all_servers_is_not_told_of_each() -> None:
    stale = verdict(known=lists(revocations(fresh_until=NOW - HOUR // 2)))
    early = verdict(now=NOW - 2 * DAY, known=lists(revocations(issued=NOW - 9 * DAY)))
    assert not stale.allowed and not early.allowed
    assert health.blessings([server(), server(upload=stale), server(upload=early)]) == []
    only(health.servers([server(how=How.CLOCK)], (1, 1), "/g"), "FAIL", "nothing can be kept")


@pytest.mark.parametrize(("used", "status"), [(0, "OK"), (GIB * 91 // 100, "WARN"), (GIB - 1, "WARN"), (GIB, "FAIL")])
def test_a_quota_is_told_before_it_is_full(used: int, status: str) -> None:
    only(health.quota([server(quota=GIB, used=used)]), status)
    assert health.quota([server()]) == []


@pytest.mark.parametrize(
    ("until", "status"), [(NOW + 14 * DAY, "OK"), (NOW + 14 * DAY - 1, "WARN"), (NOW + 1, "WARN"), (NOW, "FAIL")]
)
def test_a_lease_is_told_two_weeks_before_its_end(until: int, status: str) -> None:
    only(health.leases([Lease("my photos", until)], NOW), status, *(["hold repair 'my photos'"] * (status != "OK")))
    assert health.leases([], NOW) == []


def test_a_name_with_a_line_end_stays_one_line() -> None:
    only(health.leases([Lease("a\nOK b", NOW)], NOW), "FAIL", "a\\nOK b was kept", "hold repair 'a\\nOK b'")


def test_what_is_kept_and_damaged_or_was_not_looked_at_is_told_with_what_to_do() -> None:
    assert health.kept([]) == []
    only(health.kept([Lease("a", NOW)]), "OK", "nothing that is kept is known to lack a share")
    only(health.kept([Lease("my a", NOW, "shares of it are missing")]), "WARN", "my a: shares", "hold repair 'my a'")
    only(health.kept([Lease("a", NOW, "no\nway", lost=True)]), "FAIL", "a: no\\nway", "hold check a")


def test_the_slow_code_is_a_warning() -> None:
    only(health.code("plain Python", portable=True), "WARN", "slower", "libisal2")
    only(health.code("ISA-L (x)", portable=False), "OK", "ISA-L (x)")


def test_every_finding_bears_the_name_of_its_grid() -> None:
    found = health.judged(Seen("family", "/g", NOW, PLAIN, (1, 1), servers=(server(),), introducers=(Look("one"),)))
    assert [one.check for one in found] == ["family/introducers", "family/account", "family/servers"]
