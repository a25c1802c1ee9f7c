"""What a clause may say, and that one which says something else costs no more than itself."""

import re
from pathlib import Path

import pytest

from commonhold.formats import instant
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.pin import SpkiPin
from commonhold.grids import reading
from commonhold.grids.clauses import MAX_CLAUSES, Marked
from commonhold.grids.marked import Place
from tests.authority.parties import NOW, blessing, grid, pin
from tests.grids.made import LAN, TCP, TOR, UNIX, announced, cache, cache_bytes, filled, override, text64

ATTIC, CELLAR = pin("attic"), pin("cellar")
SIGNED = text64(announced("attic"))


def test_d5_a_cache_has_a_clause_for_each_server_of_its_introducer() -> None:
    found = cache("introducer", announced("attic"), announced("cellar"), announced("attic", purpose=INTRODUCER))
    assert set(found.clauses) == {ATTIC, CELLAR} and found.introducer == pin("introducer")
    assert found.name == f"cache/{pin('introducer')}.yaml" and not found.problems
    attic = found.clauses[ATTIC]
    assert {copy.purpose for copy in attic.copies} == {"introducer", "storage"}
    assert attic.place.column == 1 and attic.place.line > 4


def test_d8_a_clause_has_what_is_local_and_the_copied_announcement() -> None:
    data = announced("attic", str(TCP), str(TOR), sequence=7)
    clause = cache("introducer", data, seen=NOW).clauses[ATTIC]
    (copy,) = clause.copies
    assert copy.data == data and copy.said and copy.said.sequence == 7 and copy.said.addresses == (str(TCP), str(TOR))
    assert clause.local.seen and clause.local.seen.value == NOW
    assert [text for text, _ in clause.local.rules] == sorted((str(TCP), str(TOR)))


def test_d9_local_names_the_properties_of_the_transport_with_their_places() -> None:
    text = f"""\
version: 1
{{attic}}:
  local:
    hints: ["{LAN}", {TOR}]
    add_hints:
      - {UNIX}
    direct: true
    use: false
    name: 007
"""
    local = override(text).clauses[ATTIC].local
    at = [Place("override.yaml", line, column) for line, column in ((4, 12), (6, 7), (7, 13), (8, 10), (9, 11))]
    assert local.hints == Marked((LAN, TOR), at[0]) and local.add_hints == Marked((UNIX,), at[1])
    assert local.direct == Marked(True, at[2]) and local.use == Marked(False, at[3])
    assert local.name == Marked("007", at[4])  # what was written, not what YAML makes of it


def test_d23_a_clause_that_was_copied_from_a_cache_is_an_override_as_it_is() -> None:
    copied = cache_bytes("introducer", announced("attic"))
    found = reading.override(copied)
    assert not found.problems
    clause = found.clauses[ATTIC]
    assert clause.copies[0].said and clause.copies[0].addresses is None and clause.copies[0].name is None
    assert clause.local.seen is None and not clause.local.rules  # what was noted by hold decides nothing here


def test_d6_an_override_may_edit_addresses_and_name_of_what_was_copied() -> None:
    copied = cache_bytes("introducer", announced("attic")).decode()
    edited = copied.replace(str(TCP), str(LAN), 1).replace('name: "attic"', "name: mine")
    (copy,) = reading.override(edited.encode()).clauses[ATTIC].copies
    assert copy.addresses and copy.addresses.value == (LAN,)
    assert copy.name and copy.name.value == "mine" and copy.said and copy.said.addresses == (str(TCP),)
    assert reading.cache(pin("introducer"), edited.encode()).problems  # which in a cache is nobody's word


def test_d6_an_override_may_stand_for_a_server_that_nobody_announced() -> None:
    clause = override(f"{{attic}}:\n  announcement:\n    addresses: [{LAN}]\n    blessings: [{text64(blessing())}]\n")
    (copy,) = clause.clauses[ATTIC].copies
    assert (copy.purpose, copy.grid, copy.said) == ("storage", grid(), None)
    assert [one.value for one in copy.blessings] == [blessing()]


OTHERS = text64(announced("cellar"))
ELSEWHERE = text64(blessing(server=CELLAR))
FORGED = text64(announced("attic")[:-1] + b"\0")
# ruff: noqa: E501
WRONG_OVERRIDES = [
    (" []", "1:60", "", "not a map of fields"),
    ("", "1:59", "", "not a map of fields"),
    ("\n  transport: {}", "2:3", "transport", "no such field here: announcement, local"),
    ("\n  local: {}\n  local: {}", "3:3", "local", "stands there twice"),
    ("\n  local: []", "2:10", "local", "not a map of fields"),
    ("\n  local: &a {}", "2:10", "local", "an anchor"),
    ("\n  local: {hint: []}", "2:11", "local.hint", "no such field here"),
    ("\n  local:\n    hints: tcp:a.example:1", "3:12", "local.hints", "no list of up to 16"),
    ("\n  local:\n    hints: []", "3:12", "local.hints", "no address; `use: false`"),
    ("\n  local:\n    hints: [tcp:a.example:1, tcp:a]", "3:30", "local.hints", "tcp: is not followed by a host"),
    ("\n  local:\n    hints: [tpc:a.example:1]", "3:13", "local.hints", "'tpc:a.example:1' is of a kind that is not known"),
    ("\n  local:\n    hints: [tcp:a.example:1, tcp:A.example:1]", "3:30", "local.hints", "stands there twice"),
    ("\n  local:\n    hints: [[tcp:a.example:1]]", "3:13", "local.hints", "no text of 1 to 512"),
    ("\n  local:\n    hints: [" + ", ".join(f"tcp:a.example:{n + 1}" for n in range(17)) + "]", "3:12", "local.hints", "no list"),
    ("\n  local:\n    add_hints: {}", "3:16", "local.add_hints", "no list of up to 16"),
    ("\n  local:\n    direct: yes", "3:13", "local.direct", "neither true nor false"),
    ("\n  local:\n    direct: 'true'", "3:13", "local.direct", "neither true nor false"),
    ("\n  local:\n    direct: true", "3:13", "local.direct", "names no address"),
    ("\n  local:\n    use: 0", "3:10", "local.use", "neither true nor false"),
    ("\n  local:\n    name: ''", "3:11", "local.name", "no text of 1 to 64"),
    ("\n  local:\n    name: " + "x" * 65, "3:11", "local.name", "no text of 1 to 64"),
    ('\n  local:\n    name: "a\\nb"', "3:11", "local.name", "no text of 1 to 64"),
    ("\n  local:\n    seen: monday", "3:11", "local.seen", "'monday' is not of the form"),
    ("\n  local:\n    rules: []", "3:12", "local.rules", "not a map of fields"),
    ("\n  announcement: []", "2:17", "announcement", "0 announcements, not 1 to 8"),
    ("\n  announcement: x", "2:17", "announcement", "not a map of fields"),
    ("\n  announcement: {server: x}", "2:18", "announcement.server", "who a server is cannot be overridden"),
    ("\n  local: {purpose: storage}", "2:11", "local.purpose", "who a server is cannot be overridden"),
    ("\n  announcement: {sever: x}", "2:18", "announcement.sever", "no such field here"),
    ("\n  announcement: {signed: '!'}", "2:26", "announcement.signed", "not 1 to 32768 bytes in base64"),
    ("\n  announcement: {signed: AAAA}", "2:26", "announcement.signed", ""),
    (f"\n  announcement: {{signed: {FORGED}}}", "2:26", "announcement.signed", "its signature is not that of its key"),
    (f"\n  announcement: {{signed: {OTHERS}}}", "2:26", "announcement.signed", "another server's announcement"),
    (f"\n  announcement:\n    signed: {SIGNED}\n    purpose: introducer", "4:14", "announcement.purpose", "cannot be overridden"),
    (f"\n  announcement:\n    signed: {SIGNED}\n    grid: {grid('other')}", "4:11", "announcement.grid", "cannot be overridden"),
    (f"\n  announcement:\n    signed: {SIGNED}\n    sequence: 2", "4:15", "announcement.sequence", "cannot be overridden"),
    (f"\n  announcement:\n    signed: {SIGNED}\n    not_after: never", "4:16", "announcement.not_after", "cannot be"),
    (f"\n  announcement:\n    signed: {SIGNED}\n    addresses: [x]", "4:17", "announcement.addresses", "not a scheme"),
    (f"\n  announcement:\n    - signed: {SIGNED}\n    - signed: {SIGNED}", "3:7", "announcement", "two announcements for one"),
    ("\n  announcement: {sequence: 3}", "2:28", "announcement.sequence", "says nothing where nothing is signed"),
    ("\n  announcement: {grid: x}", "2:24", "announcement.grid", "not g and 56"),
    ("\n  announcement: {purpose: Storage}", "2:27", "announcement.purpose", "not up to 32"),
    ("\n  announcement: {blessings: x}", "2:29", "announcement.blessings", "no list of up to 8"),
    ("\n  announcement: {blessings: [AAAA]}", "2:30", "announcement.blessings", ""),
    (f"\n  announcement: {{blessings: [{ELSEWHERE}]}}", "2:30", "announcement.blessings", "who a server is cannot be overridden"),
    (
        f"\n  announcement:\n    purpose: introducer\n    blessings: [{text64(blessing())}]",
        "4:17", "announcement.blessings", "a blessing for storage, not introducer: who a server is cannot be overridden",
    ),
    (
        f"\n  announcement:\n    signed: {SIGNED}\n    blessings: [{text64(blessing(grid=grid('other')))}]",
        "4:17", "announcement.blessings", "who a server is cannot be overridden",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "at", "field", "why"), WRONG_OVERRIDES, ids=lambda value: re.sub(r"\W+", " ", value)[:60]
)
def test_each_error_says_file_line_column_and_field_and_skips_its_clause_alone(
    said: str, at: str, field: str, why: str
) -> None:
    good = f"\n{{cellar}}:\n  local: {{hints: [{LAN}]}}\n"
    found = override("{attic}:" + said + good)
    (problem,) = found.problems
    assert str(problem).startswith(f"override.yaml:{at}: {str(ATTIC)[:10]}…{'.' if field else ''}{field}: ")
    assert why in problem.why
    assert set(found.clauses) == {CELLAR} and found.refused == {ATTIC: problem}


@pytest.mark.parametrize(
    ("said", "field", "why"),
    [
        ("local: {seen: 2026-11-21T20:07:00Z}", "", "announcement: missing"),
        (f"announcement: {{addresses: [{TCP}]}}", "announcement.signed", "missing"),
        (
            f"announcement: {{signed: {SIGNED}, addresses: [{LAN}]}}",
            "announcement.addresses",
            "differ from what is signed",
        ),
        (f"announcement: {{signed: {SIGNED}, name: mine}}", "announcement.name", "differs from what is signed"),
        (
            f"announcement: {{signed: {SIGNED}, blessings: []}}",
            "announcement.blessings",
            "who a server is cannot be overridden",
        ),
        (
            f"announcement: {{signed: {SIGNED}}}\n  local: {{direct: true, hints: [{LAN}]}}",
            "local.direct",
            "in an override alone",
        ),
        (f"announcement: {{signed: {SIGNED}}}\n  local: {{use: true}}", "local.use", "stands in an override alone"),
    ],
)
def test_a_cache_says_nothing_that_its_server_did_not_sign_and_chooses_nothing(said: str, field: str, why: str) -> None:
    data = filled("{attic}:\n  " + said + "\n") + cache_bytes("i", announced("cellar")).split(b"version: 1\n")[1]
    found = reading.cache(pin("i"), data)
    assert len(found.problems) == 1 and why in found.problems[0].why
    assert found.problems[0].field in (f"{str(ATTIC)[:10]}….{field}", f"{str(ATTIC)[:10]}…{field}")
    assert set(found.clauses) == {CELLAR}


def test_of_two_clauses_for_one_server_neither_counts() -> None:
    found = override(
        f"{{attic}}:\n  local: {{hints: [{LAN}]}}\n{{cellar}}: {{}}\n{{attic}}:\n  local: {{use: false}}\n"
    )
    assert set(found.clauses) == {CELLAR} and set(found.refused) == {ATTIC}
    assert str(found.problems[0]).startswith("override.yaml:4:1:") and "a second clause" in found.problems[0].why


def test_a_key_that_is_no_pin_is_said_and_the_others_count() -> None:
    slip = str(ATTIC)[:-1] + ("a" if str(ATTIC)[-1] != "a" else "b")
    found = override(f"attic: {{}}\n{slip}: {{}}\n? [x]\n: {{}}\n{{cellar}}: {{}}\n")
    assert set(found.clauses) == {CELLAR}
    assert [problem.place.line for problem in found.problems] == [1, 2, 3]
    assert all("not the pin of a server" in problem.why for problem in found.problems)


def test_a_file_that_cannot_be_read_is_one_problem_and_holds_back_those_whom_it_names() -> None:
    found = override(f"{{attic}}:\n  local: {{hints: [{LAN}]\n{{cellar}}: {{}}\n")
    (problem,) = found.problems
    assert problem.place.line == 3 and "not YAML" in problem.why
    assert not found.clauses and set(found.refused) == {ATTIC, CELLAR}


@pytest.mark.parametrize("version", ["2", "'one'", "[1]", ""])
def test_a_newer_version_is_not_guessed_at(version: str) -> None:
    found = override(f"version: {version}\n{{attic}}: {{}}\n")
    assert not found.clauses and "version 1 is known: use a newer hold" in str(found.problems[0])
    assert set(found.refused) == {ATTIC}


def test_a_file_has_up_to_4096_clauses() -> None:
    pins = [SpkiPin(n.to_bytes(32, "big")) for n in range(MAX_CLAUSES + 2)]
    found = reading.override("".join(f"{one}: {{}}\n" for one in pins).encode())
    assert set(found.clauses) == set(pins[:MAX_CLAUSES]) and set(found.refused) == set(pins[MAX_CLAUSES:])
    assert "more than 4096 clauses" in found.problems[0].why


def test_the_example_of_the_specification_is_what_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs/spec/known-servers.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    data = announced(
        "attic", str(TCP), sequence=7, not_after=instant.parse_rfc3339("2026-12-01T00:00:00Z") // instant.SECOND
    )
    for short, whole in (("p…", str(ATTIC)), ("g…", str(grid())), ("pGNrZXlY…", text64(data))):
        assert short in example
        example = example.replace(short, whole)
    found = reading.cache(pin("introducer"), example.encode())
    assert not found.problems
    local = found.clauses[ATTIC].local
    assert local.connected and local.seen and local.connected.value == local.seen.value + 2
    assert [(text, mark.value) for text, mark in local.rules] == [(str(TCP), "direct")]


def test_what_version_1_wrote_is_still_read() -> None:
    there = Path(__file__).parent.parent / "fixtures" / "known-servers-1"
    found = reading.cache(pin("introducer"), (there / "cache.yaml").read_bytes())
    assert not found.problems and set(found.clauses) == {ATTIC, CELLAR}
    assert {copy.purpose for copy in found.clauses[ATTIC].copies} == {"introducer", "storage"}
    chosen = reading.override((there / "override.yaml").read_bytes())
    assert not chosen.problems and set(chosen.clauses) == {ATTIC, CELLAR}
    local = chosen.clauses[ATTIC].local
    assert local.hints is not None and local.hints.value == (LAN,)
