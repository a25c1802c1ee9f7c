"""What introducers show and what the user says, merged field by field. REQUIREMENTS B3, B17, B35, D6, D7, D24, D25."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.derived import Secret
from commonhold.authority.placing import order
from commonhold.formats.announcement import MAX_ADDRESSES
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.pin import SpkiPin
from commonhold.grids.clauses import File, Marked
from commonhold.grids.known import Decision, KnownServer, View
from commonhold.grids.marked import Place
from tests.authority.parties import DAY, NOW, blessing, grid, lists, pin, revocations
from tests.examples import examples
from tests.grids.made import (
    LAN,
    LOOP,
    NONE,
    PLAIN,
    TCP,
    TOR,
    TRUST,
    UNIX,
    announced,
    cache,
    known,
    one,
    override,
    text64,
)

ATTIC, CELLAR = pin("attic"), pin("cellar")


def decided(server: KnownServer, field: str) -> Decision:
    (found,) = [each for each in server.trace if each.field == field]
    return found


# ── Introducers ────────────────────────────────────────────────────────────────────────────────────


def test_d7_the_newest_announcement_counts_whoever_shows_it() -> None:
    old = cache("a", announced("attic", str(TCP), sequence=3, name="old"))
    new = cache("b", announced("attic", str(TOR), sequence=4, name="new"))
    server = one(old, new)
    assert server.name == "new" and server.hints == (TOR,)
    place = new.clauses[ATTIC].copies[0].place
    assert decided(server, "announcement") == Decision(
        "announcement", "number 4", place, (Marked("number 3", old.clauses[ATTIC].copies[0].place),)
    )
    assert decided(server, "addresses").place == decided(server, "name").place == place


def test_d7_all_servers_of_all_introducers_are_known() -> None:
    found = known(
        cache("a", announced("attic")), cache("b", announced("cellar"), announced("attic", purpose=INTRODUCER))
    )
    assert {(server.pin, server.purpose) for server in found.servers} == {
        (ATTIC, "storage"), (ATTIC, "introducer"), (CELLAR, "storage"),
    }  # fmt: skip
    assert not found.problems


def test_d25_what_each_introducer_shows_is_kept_beside() -> None:
    newest, twin = announced("attic", str(TCP), sequence=5), announced("attic", str(TOR), sequence=5)
    caches = [
        cache("same", newest), cache("twin", twin), cache("old", announced("attic", sequence=4)), cache("hides"),
        cache("also", newest),
    ]  # fmt: skip
    views = {told.introducer: told.view for told in one(*caches).told}
    assert views[pin("old")] is View.OLDER and views[pin("hides")] is View.NONE
    assert {views[pin("same")], views[pin("twin")]} == {View.SAME, View.OTHER}
    assert views[pin("also")] is views[pin("same")]
    places = {told.introducer: told.place for told in one(*caches).told}
    assert places[pin("hides")] is None and places[pin("old")] == caches[2].clauses[ATTIC].copies[0].place


def test_of_two_of_one_sequence_the_same_counts_whoever_shows_which() -> None:
    twins = [announced("attic", str(each), sequence=5) for each in (TCP, TOR, LAN)]
    found = {
        one(*(cache(name, twins[at]) for name, at in zip("abc", order_, strict=True))).hints
        for order_ in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1))
    }
    assert len(found) == 1


def test_b17_blessings_of_all_sources_speak_for_a_server_and_each_is_judged_here() -> None:
    bare, blessed = announced("attic", sequence=9, blessed=False), announced("attic", sequence=8)
    assert not one(cache("a", bare)).upload.allowed
    server = one(cache("a", bare), cache("b", blessed))
    assert server.upload.allowed and server.candidate.blessings == (blessing(),)
    assert server.blessed_at == (cache("b", blessed).clauses[ATTIC].copies[0].place,)


def test_b3_a_revoked_server_may_be_read_and_is_known_as_that() -> None:
    server = one(cache("a", announced("attic")), known=lists(revocations(7)))
    assert not server.upload.allowed and server.read.allowed and "revoked" in server.upload.said


def test_the_newest_announcement_says_whether_a_server_is_leaving_whoever_shows_it() -> None:
    before, leaving = announced("attic", sequence=3), announced("attic", sequence=4, leaving=True)
    server = one(cache("a", before), cache("b", leaving))
    assert server.leaving and not server.upload.allowed and server.read.allowed and "emptied" in server.upload.said
    assert decided(server, "leaving").place == cache("b", leaving).clauses[ATTIC].copies[0].place
    assert not server.judged(TRUST, lists(), NOW)[0].allowed and server.judged(TRUST, lists(), NOW)[1].allowed
    back = one(cache("a", before), cache("b", leaving), cache("c", announced("attic", sequence=5)))
    assert not back.leaving and back.upload.allowed and back.judged(TRUST, lists(), NOW)[0].allowed


def test_an_override_does_not_keep_a_server_that_is_leaving() -> None:
    by = override(f"{{attic}}:\n  local: {{name: mine}}\n  announcement: {{addresses: ['{LAN}']}}\n")
    assert one(cache("a", announced("attic", leaving=True)), by=by).leaving


def test_a_server_whose_blessing_was_taken_back_is_leaving() -> None:
    shown = cache("a", announced("attic"))
    assert one(shown, known=lists(revocations(7))).leaving and not one(shown).leaving
    assert not one(shown, now=NOW + 2 * DAY).leaving  # expired, with a list that is stale, too


def test_b29_a_server_of_another_grid_is_not_used() -> None:
    server = one(cache("a", announced("attic", grid=grid("other"))))
    assert not server.upload.allowed and not server.read.allowed and "not taken part in" in server.upload.said


def test_b35_classes_are_those_that_a_blesser_signed() -> None:
    data = announced("attic", blessings=(blessing(classes=("reliable", "eu")), blessing("stranger", classes=("gold",))))
    assert one(cache("a", data)).classes == {"reliable", "eu"}


def test_a_server_has_no_more_blessings_than_are_looked_at() -> None:
    caches = [
        cache(f"i{n}", announced("attic", sequence=n, blessings=tuple(blessing(serial=8 * n + m) for m in range(8))))
        for n in range(12)
    ]
    server = one(*caches)
    assert len(server.candidate.blessings) == len(server.blessed_at) == 64
    assert server.candidate.blessings[0] == blessing(serial=88)  # the newest's first


def test_the_last_time_of_several_counts() -> None:
    data = announced("attic")
    server = one(cache("a", data, seen=NOW - 5), cache("b", data, seen=NOW - 2), cache("c", data, seen=NOW - 9))
    assert server.seen == NOW - 2 and server.connected is None


SERVERS = ("attic", "cellar", "barn")
shown_by_one = st.lists(
    st.tuples(st.sampled_from(SERVERS), st.integers(1, 3), st.sampled_from((TCP, LAN, TOR))),
    max_size=4,
    unique_by=lambda t: t[0],
)


@given(st.lists(shown_by_one, min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(60))
def test_d7_the_order_of_introducers_is_nothing(shown: list[list[tuple[str, int, object]]], mix: object) -> None:
    caches = [
        cache(f"i{n}", *(announced(server, str(hint), sequence=number) for server, number, hint in each))
        for n, each in enumerate(shown)
    ]
    by = override(f"{{attic}}:\n  local: {{add_hints: [{UNIX}], name: mine}}\n")
    mixed = list(caches)
    mix.shuffle(mixed)  # type: ignore[attr-defined]
    assert known(*caches, by=by) == known(*mixed, by=by)


# ── The override ───────────────────────────────────────────────────────────────────────────────────

FIELDS = {
    "hints": f"hints: [{LAN}]",
    "add_hints": f"add_hints: [{TOR}]",
    "direct": "direct: true",
    "use": "use: false",
    "name": "name: mine",
}


@given(st.sets(st.sampled_from(sorted(FIELDS))))
@settings(deadline=None)
def test_d6_each_field_of_an_override_stands_for_itself(fields: set[str]) -> None:
    if "direct" in fields and not fields & {"hints", "add_hints"}:
        fields -= {"direct"}
    shown = cache("a", announced("attic", str(TCP)), announced("cellar", str(TCP)))
    plain, others = one(shown), one(shown, server="cellar")
    by = (
        override("{attic}:\n  local:\n" + "".join(f"    {FIELDS[name]}\n" for name in sorted(fields)))
        if fields
        else NONE
    )
    assert not by.problems
    server = one(shown, by=by)
    expected = [*([TOR] if "add_hints" in fields else []), *([LAN] if "hints" in fields else [TCP])]
    assert server.hints == (() if "use" in fields else tuple(expected))
    assert server.name == ("mine" if "name" in fields else "attic")
    named = {TOR for _ in fields & {"add_hints"}} | {LAN for _ in fields & {"hints"}}
    assert {exemption.hint for exemption in server.rules.exemptions} == (named if "direct" in fields else set())
    assert (server.slot, server.candidate, server.upload, server.read, server.told) == (
        plain.slot, plain.candidate, plain.upload, plain.read, plain.told,
    )  # fmt: skip
    assert one(shown, by=by, server="cellar") == others
    by_fields = {decision.field for decision in server.trace if decision.place.file == "override.yaml"}
    said = {"hints": "addresses", "add_hints": "addresses before these"}
    assert by_fields == {said.get(name, name) for name in fields}


def test_d6_what_was_decided_names_line_and_what_it_was_instead_of() -> None:
    shown = cache("a", announced("attic"))
    server = one(shown, by=override(f"{{attic}}:\n  local:\n    name: mine\n    hints:\n      - {LAN}\n"))
    place = shown.clauses[ATTIC].copies[0].place
    assert decided(server, "name") == Decision(
        "name", "'mine'", Place("override.yaml", 3, 11), (Marked("'attic'", place),)
    )
    assert decided(server, "addresses").place == Place("override.yaml", 5, 7)
    assert decided(server, "addresses").instead == ((str(TCP), place),)
    assert [(each.text, each.named, each.hint) for each in server.addresses] == [
        (str(LAN), True, LAN), (str(TCP), False, None),
    ]  # fmt: skip
    assert "override.yaml:5:7 names others instead" in server.addresses[1].said


def test_d6_an_override_stands_for_a_server_that_nobody_announced() -> None:
    by = override(f"{{attic}}:\n  announcement:\n    addresses: [{LAN}]\n    blessings: [{text64(blessing())}]\n")
    server = one(by=by)
    assert server.hints == (LAN,) and server.upload.allowed and server.purpose == "storage"
    pasted = one(by=override(f"{{attic}}:\n  announcement: {{signed: {text64(announced('attic'))}}}\n"))
    assert pasted.hints == (TCP,) and pasted.upload.allowed and pasted.name == "attic"


def test_an_override_without_anybodys_word_for_the_server_is_said() -> None:
    found = known(by=override(f"{{attic}}:\n  local: {{hints: [{LAN}]}}\n"))
    assert not found.servers
    assert str(found.problems[0]).startswith("override.yaml:1:1: ") and "it is not used" in found.problems[0].why


def test_a_pasted_copy_gives_way_to_a_newer_announcement_but_what_was_edited_stays() -> None:
    copied = text64(announced("attic", str(TCP), sequence=2))
    newer = cache("a", announced("attic", str(TOR), sequence=3))
    assert one(newer, by=override(f"{{attic}}:\n  announcement: {{signed: {copied}}}\n")).hints == (TOR,)
    edited = override(f"{{attic}}:\n  announcement: {{signed: {copied}, addresses: [{LAN}], name: mine}}\n")
    assert one(newer, by=edited).hints == (LAN,) and one(newer, by=edited).name == "mine"
    older = cache("a", announced("attic", str(TOR), sequence=1))
    assert one(older, by=override(f"{{attic}}:\n  announcement: {{signed: {copied}}}\n")).hints == (TCP,)


def test_what_stands_in_local_goes_before_an_edited_announcement() -> None:
    text = (
        f"{{attic}}:\n  announcement: {{addresses: [{TOR}], name: edited}}\n  local: {{hints: [{LAN}], name: local}}\n"
    )
    server = one(cache("a", announced("attic")), by=override(text))
    assert server.hints == (LAN,) and server.name == "local"


@pytest.mark.parametrize("other", ["purpose: introducer", f"grid: {grid('other')}"])
def test_who_a_server_is_cannot_be_overridden(other: str) -> None:
    found = known(
        cache("a", announced("attic")),
        by=override(f"{{attic}}:\n  announcement:\n    {other}\n    addresses: [{LAN}]\n"),
    )
    (server,) = found.servers
    assert "who a server is cannot be overridden" in found.problems[0].why and found.problems[0].place.line == 3
    assert server.purpose == "storage" and server.slot.grid == grid() and server.hints == ()


def test_an_edit_for_one_purpose_is_for_that_alone() -> None:
    shown = cache("a", announced("attic"), announced("attic", purpose=INTRODUCER))
    by = override(f"{{attic}}:\n  announcement:\n    - purpose: introducer\n      addresses: [{LAN}]\n")
    found = {server.purpose: server.hints for server in known(shown, by=by).servers}
    assert found == {"introducer": (LAN,), "storage": (TCP,)}


def test_a_server_whose_clause_is_wrong_is_not_dialled_until_it_is_mended() -> None:
    shown = cache("a", announced("attic"), announced("cellar"))
    by = override(f"{{attic}}:\n  local:\n    hint: [{TOR}]\n")
    server = one(shown, by=by)
    assert server.hints == () and "not dialled until override.yaml:3:5 is mended" in server.reached
    assert server.upload.allowed and server.read.allowed  # who it is depends on no override
    assert one(shown, by=by, server="cellar").hints == (TCP,)
    assert known(shown, by=by).problems == by.problems


def test_where_the_override_is_no_yaml_those_whom_it_names_are_held_back_and_the_others_go_on() -> None:
    shown = cache("a", announced("attic"), announced("cellar"))
    by = override(f"{{attic}}:\n  local: {{hints: [{TOR}]\n")
    assert one(shown, by=by).hints == () and one(shown, by=by, server="cellar").hints == (TCP,)


def test_no_more_are_dialled_than_dialling_takes() -> None:
    many = [f"tcp:a.example:{n + 1}" for n in range(MAX_ADDRESSES)]
    shown = cache("a", announced("attic", *many))
    server = one(shown, by=override(f"{{attic}}:\n  local: {{add_hints: [{LAN}]}}\n"))
    assert server.hints[0] == LAN and len(server.hints) == MAX_ADDRESSES == 16
    assert "it comes after 16" in server.addresses[-1].said


def test_what_is_another_place_on_every_machine_is_dialled_by_an_overrides_word_alone() -> None:
    shown = cache("a", announced("attic", str(LOOP), str(UNIX), "tcp:x", str(TCP)))
    server = one(shown)
    assert server.hints == (TCP,)
    assert [address.said.split(":")[0] for address in server.addresses] == ["refused"] * 3 + ["direct"]
    by = override(f"{{attic}}:\n  local: {{hints: [{LOOP}]}}\n")
    assert one(shown, by=by).hints == (LOOP,)


def test_d12_how_it_would_have_been_dialled_is_known_and_decides_nothing() -> None:
    shown = cache("a", announced("attic", str(TCP), str(TOR)), rules=replace(PLAIN, anonymous=True))
    server = one(shown)
    assert [(text, mark.value) for text, mark in server.cached] == [
        (str(TCP), "refused: anonymous mode dials nothing directly"),
        (str(TOR), "by the proxy tcp:127.0.0.1:9050"),
    ]
    assert server.reached == f"{TCP} direct"


# ── Placement ──────────────────────────────────────────────────────────────────────────────────────


def usable(*caches: File, by: File) -> list[SpkiPin]:
    """Where a pack's shares go, in order."""
    servers = known(*caches, by=by).servers
    return order(Secret(b"s" * 32), [server.pin for server in servers if server.upload.allowed])


@given(
    st.lists(
        st.tuples(st.sampled_from(SERVERS), st.sampled_from([*sorted(FIELDS), "wrong"])),
        max_size=6,
        unique_by=lambda t: t[0],
    )
)
@settings(deadline=None)
def test_d24_placement_does_not_depend_on_overrides(said: list[tuple[str, str]]) -> None:
    shown = cache("a", *(announced(server) for server in SERVERS), announced("shed", blessed=False))
    text = ""
    for server, field in said:
        more = FIELDS["add_hints"] if field == "direct" else ""
        text += f"{{{server}}}:\n  local:\n    {FIELDS.get(field, 'wrong: 1')}\n" + (f"    {more}\n" if more else "")
    assert usable(shown, by=override(text)) == usable(shown, by=NONE)
    assert len(usable(shown, by=NONE)) == 3


def test_a_verdict_can_be_had_for_another_time() -> None:
    server = one(cache("a", announced("attic")))
    trust, fresh = TRUST, lists(revocations(issued=NOW, fresh_until=NOW + 9 * DAY))
    assert server.judged(trust, fresh, NOW)[0].allowed
    upload, read = server.judged(trust, fresh, NOW + 2 * DAY)
    assert not upload.allowed and read.allowed
