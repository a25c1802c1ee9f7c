"""Caches written, to be read again by hold and by people. REQUIREMENTS D5, D8, D12."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto.statements import signed
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER, STORAGE, Purpose
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind
from commonhold.grids import reading, writing
from commonhold.grids.marked import MAX_FILE
from commonhold.grids.writing import Entry
from tests.authority.parties import NOW, grid, pin, seed
from tests.grids.made import ANONYMOUS, I2P, PLAIN, TCP, TOR, announced, cache_bytes

I1 = pin("introducer")
ATTIC = pin("attic")


def entry(data: bytes, seen: int = NOW, connected: int | None = None) -> Entry:
    return Entry(data, reading.announced(data), seen, connected)


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")  # as str.isprintable has it


@st.composite
def announcements(draw: st.DrawFn) -> bytes:
    """Whatever somebody may announce."""
    server = draw(st.sampled_from(["attic", "cellar", "barn"]))
    said = Announcement(
        grid(draw(st.sampled_from(["blesser", "other"]))),
        Purpose(draw(st.sampled_from([STORAGE, INTRODUCER, "x.1-y"]))),
        pin(server),
        tuple(draw(st.lists(st.text(printable, min_size=1, max_size=300), max_size=16, unique=True))),
        draw(st.integers(0, MAX_NUMBER)),
        draw(st.integers(0, MAX_NUMBER)),
        name=draw(st.text(printable, max_size=64)),
    )
    return signed(Kind.ANNOUNCEMENT, said.body, seed(server)).encoded


def slot(one: Entry) -> tuple[bytes, str, bytes]:
    return one.said.server, one.said.purpose, one.said.grid


@given(
    st.lists(
        st.builds(entry, announcements(), st.integers(0, 1 << 37), st.none() | st.integers(1, 1 << 37)),
        max_size=8,
        unique_by=slot,
    )
)
@settings(deadline=None)
def test_d5_whatever_is_announced_is_kept_and_comes_back(shown: list[Entry]) -> None:
    found = reading.cache(I1, writing.cache(I1, shown, PLAIN).data)
    assert not found.problems
    back = {slot(one): one for one in writing.entries(found)}
    assert {key: one.data for key, one in back.items()} == {slot(one): one.data for one in shown}
    for one in back.values():
        mine = [each for each in shown if each.said.server == one.said.server]
        assert one.seen == max(each.seen for each in mine)
        assert one.connected == max((each.connected for each in mine if each.connected), default=None)
    assert writing.cache(I1, writing.entries(found), PLAIN).data == writing.cache(I1, reversed(shown), PLAIN).data


def test_d8_d12_people_read_what_is_announced_and_the_rules_in_force() -> None:
    text = cache_bytes(
        "introducer", announced("attic", str(TCP), str(TOR), str(I2P), "iroh:abc", "tcp:x"), rules=ANONYMOUS
    ).decode()
    assert (
        f"""
{ATTIC}:
  announcement:
    grid: {grid()}
    purpose: "storage"
    name: "attic"
    addresses:
      - "tcp:attic.example:4444"
"""
        in text
    )
    assert (
        """  local:
    seen: 2027-01-15T08:00:00Z
    rules:
"""
        in text
    )
    why = "by I2P's proxy all servers see one destination, and can tell that they have the same client"
    assert text.endswith(f'''\
      "{I2P}": "refused: {why}"
      "iroh:abc": "refused: its kind is not known"
      "{TCP}": "refused: anonymous mode dials nothing directly"
      "tcp:x": "refused: tcp: is not followed by a host, a colon and a port"
      "{TOR}": "by the proxy tcp:127.0.0.1:9050"
''')


def test_a_cache_never_grows_beyond_what_is_read_and_keeps_who_was_seen_last() -> None:
    big = [
        Announcement(
            grid(),
            STORAGE,
            pin(f"s{n}"),
            tuple("x:" + f"{m:02}" * 149 for m in range(16)),
            1,
            NOW,
            tuple(bytes(1500) for _ in range(8)),
        )
        for n in range(300)
    ]
    shown = [entry(signed(Kind.ANNOUNCEMENT, one.body, seed(f"s{n}")).encoded, NOW + n) for n, one in enumerate(big)]
    made = writing.cache(I1, shown, PLAIN)
    found = reading.cache(I1, made.data)
    assert len(made.data) <= MAX_FILE and not found.problems
    assert 0 < made.left_out == 300 - len(found.clauses)
    assert set(found.clauses) == {pin(f"s{n}") for n in range(made.left_out, 300)}


def test_a_server_has_up_to_eight_announcements() -> None:
    shown = [entry(announced("attic", purpose=Purpose(f"p{n}"))) for n in range(10)]
    made = writing.cache(I1, shown, PLAIN)
    found = reading.cache(I1, made.data)
    assert made.left_out == 2 and not found.problems and len(found.clauses[ATTIC].copies) == 8


# ── From one cache to the next ─────────────────────────────────────────────────────────────────────


def test_what_an_introducer_shows_no_more_is_remembered() -> None:
    before = [entry(announced("attic"), NOW - 9), entry(announced("cellar"), NOW - 9, NOW - 8)]
    after = writing.renewed(before, [announced("barn")], {pin("attic"): NOW - 1}, NOW)
    assert [(one.said.name, one.seen, one.connected) for one in after] == [
        ("attic", NOW - 9, NOW - 1), ("cellar", NOW - 9, NOW - 8), ("barn", NOW, None),
    ]  # fmt: skip


def test_a_newer_announcement_is_in_the_place_of_an_older_and_never_the_other_way_round() -> None:
    old, new = announced("attic", sequence=1), announced("attic", sequence=2)
    (after,) = writing.renewed([entry(old, NOW - 9, NOW - 8)], [new], {}, NOW)
    assert (after.data, after.seen, after.connected) == (new, NOW, NOW - 8)
    (kept,) = writing.renewed([after], [old], {pin("attic"): NOW - 20}, NOW + 5)
    assert kept == after
    (again,) = writing.renewed([after], [new], {}, NOW + 5)
    assert again.seen == NOW + 5


def test_what_is_not_signed_is_not_kept() -> None:
    with pytest.raises(Malformed):
        writing.renewed([], [announced("attic")[:-1] + b"\0"], {}, NOW)
