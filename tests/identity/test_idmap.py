"""Id maps: no principal with two uids, no uid with two principals, no root but uid 0, whatever is said."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from commonhold.formats.malformed import Malformed
from commonhold.identity.idmap import MAX_CACHED, MAX_ID, MAX_ROWS, OVERFLOW, IdMap, Row
from commonhold.identity.principal import MAX_NAME, NOBODY, Principal, named, parse


class Users:
    """A user database in memory: lines of id and name, the first that fits is the answer, as in passwd(5)."""

    def __init__(self, *lines: tuple[int, bytes]) -> None:
        self.lines = list(lines)
        self.asked = 0

    def name_of(self, number: int) -> bytes | None:
        self.asked += 1
        return next((name for one, name in self.lines if one == number), None)

    def id_of(self, name: bytes) -> int | None:
        self.asked += 1
        return next((number for number, one in self.lines if one == name), None)


HOST = ((0, b"root"), (1001, b"alice"), (1002, b"bob"), (OVERFLOW, b"nobody"))


def mapped(*rows: tuple[int, int, str], users: Iterable[tuple[int, bytes]] = HOST) -> IdMap:
    known = Users(*users)
    return IdMap("family", [Row(*row) for row in rows], known.name_of, known.id_of)


def check(ids: IdMap, pairs: dict[int, str | None]) -> None:
    for number, text in pairs.items():
        assert ids.principal(number) == text, number
        if text is not None:
            assert ids.id(parse(text)) == number


def test_users_of_the_host_are_known_by_their_names() -> None:
    check(mapped(), {0: "root@family", 1001: "alice@family", 1002: "bob@family", 1003: None})
    assert mapped().id(parse("carol@family")) is None
    assert mapped().id(parse("alice@office")) is None
    assert mapped().id(NOBODY) is None


def test_a_row_counts_on_from_its_first_principal() -> None:
    ids = mapped((100000, 1000, "box-0@family"), (101000, 1, "sid:S-1-5-21-7@office"), (200000, 3, "sid:S-1-9@x"))
    check(ids, {100000: "box-0@family", 100999: "box-999@family", 101000: "sid:S-1-5-21-7@office"})
    check(ids, {99999: None, 101001: None, 200000: "sid:S-1-9@x", 200002: "sid:S-1-11@x", 200003: None})
    for text in ("box-1000@family", "box-00@family", "box-@family", "box-0@office", "sid:S-1-8@x", "sid:S-1-12@x"):
        assert ids.id(parse(text)) is None


def test_a_container_s_ids_are_its_own_though_two_containers_use_the_same() -> None:
    ids = mapped((100000, 65536, "0@box1"), (200000, 65536, "0@box2"))
    check(ids, {100000: "0@box1", 200000: "0@box2", 101001: "1001@box1", 0: "root@family", 1001: "alice@family"})


def test_the_digits_of_an_escape_are_no_number() -> None:
    with pytest.raises(Malformed):
        mapped((5000, 2, "a%21@family"))
    check(mapped((5000, 1, "a%21@family"), (5001, 1, "a%22@family")), {5000: "a%21@family", 5001: "a%22@family"})


def test_rows_go_before_the_database_and_what_they_shadow_is_nobody() -> None:
    ids = mapped((1001, 1, "bob@family"))
    check(ids, {1001: "bob@family", 1002: None})
    assert ids.id(parse("alice@family")) is None
    ids = mapped((5, 1, "alice@family"))
    check(ids, {5: "alice@family", 1001: None})


def test_names_of_the_database_that_go_to_another_id_are_nobody() -> None:
    ids = mapped(users=[(0, b"root"), (0, b"toor"), (7, b"x"), (8, b"x"), (9, b"twice"), (9, b"again")])
    check(ids, {7: "x@family", 8: None, 9: "twice@family"})
    assert ids.id(parse("toor@family")) is None and ids.id(parse("again@family")) is None


@pytest.mark.parametrize("users", [[], [(0, b"admin")], [(1001, b"root")], [(0, b"admin"), (1001, b"root")]])
def test_uid_0_is_root_whatever_the_database_says_and_no_other_is(users: list[tuple[int, bytes]]) -> None:
    ids = mapped(users=users)
    check(ids, {0: "root@family", 1001: None})
    assert ids.id(parse("admin@family")) is None


def test_root_of_a_container_is_whom_a_row_names_and_root_of_the_host_is_then_not_there() -> None:
    ids = mapped((0, 10, "box-0@family"), users=[(0, b"root"), (1001, b"root")])
    check(ids, {0: "box-0@family", 9: "box-9@family", 10: None, 1001: None})
    assert ids.id(parse("root@family")) is None


@pytest.mark.parametrize("number", [OVERFLOW, 65535, 4000, -1, MAX_ID + 1, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32])
def test_what_stands_for_nobody_is_mapped_by_nothing(number: int) -> None:
    users = Users((number, b"eve"))
    ids = IdMap("family", [], users.name_of, users.id_of, overflow=4000)
    assert ids.principal(number) is None and ids.id(parse("eve@family")) is None


def test_nobody_is_left_out_of_the_row_that_spans_it() -> None:
    ids = mapped((60000, 10000, "box-0@family"))
    check(ids, {OVERFLOW: None, 65535: None, 65536: "box-5536@family"})
    assert ids.id(parse("box-5534@family")) is None


def test_names_that_are_not_plain_are_escaped_and_those_too_long_are_nobody() -> None:
    long = b"a" * (MAX_NAME + 1)
    ids = mapped(users=[(5, b"a b"), (6, b"x@family"), (7, b"\xff"), (8, b"sid:1"), (9, long), (10, b"")])
    check(ids, {5: "a%20b@family", 6: "x%40family@family", 7: "%FF@family", 8: "sid%3A1@family", 9: None, 10: None})
    assert ids.id(parse("sid:1@family")) is None


@pytest.mark.parametrize(
    "rows",
    [
        [(5, 1, "a@x"), (5, 1, "b@x")],
        [(5, 10, "a1@x"), (14, 1, "b@x")],
        [(5, 1, "a@x"), (6, 1, "a@x")],
        [(5, 10, "a-0@x"), (20, 10, "a-9@x")],
        [(5, 100, "a-0@x"), (200, 1, "a-17@x")],
        [(5, 2, "a@x")],
        [(5, 2, "a-0@x"), (4, 2, "b-0@x")],
        [(5, 1, "root@family")],
        [(0, 1, "a@x"), (5, 1, "root@family")],
        [(5, 1, "nobody")],
        [(5, 1, "alice")],
        [(-1, 1, "a@x")],
        [(5, 0, "a@x")],
        [(5, -1, "a@x")],
        [(MAX_ID, 2, "a0@x")],
        [(5, 11, "a" * (MAX_NAME - 1) + "0@x")],
    ],
)
def test_rows_that_are_not_injective_or_say_nothing_sound_are_refused(rows: list[tuple[int, int, str]]) -> None:
    with pytest.raises(Malformed):
        mapped(*rows)


def test_rows_that_touch_but_do_not_overlap_are_taken() -> None:
    check(mapped((5, 10, "a-0@x"), (15, 10, "a-10@x"), (25, 1, "a-20@y")), {14: "a-9@x", 15: "a-10@x", 25: "a-20@y"})
    check(mapped((5, 12, "a0@x"), (50, 12, "a00@x"), (90, 1, "a0012@x")), {16: "a11@x", 61: "a011@x", 90: "a0012@x"})
    check(mapped((MAX_ID, 1, "a0@x"), (5, 10, "a" * (MAX_NAME - 1) + "0@x")), {MAX_ID: "a0@x"})


def test_rows_have_a_limit() -> None:
    rows = [(number, 1, f"a{number}@x") for number in range(1, MAX_ROWS + 1)]
    check(mapped(*rows), {MAX_ROWS: f"a{MAX_ROWS}@x"})
    with pytest.raises(Malformed):
        mapped(*rows, (MAX_ROWS + 1, 1, "b@x"))


def test_the_database_is_asked_once_until_it_is_to_be_asked_again() -> None:
    users = Users(*HOST)
    ids = IdMap("family", [], users.name_of, users.id_of)
    check(ids, {1001: "alice@family", 1003: None})
    assert ids.id(parse("carol@family")) is None
    asked = users.asked
    users.lines.append((1003, b"carol"))
    check(ids, {1001: "alice@family", 1003: None})
    assert ids.id(parse("carol@family")) is None and users.asked == asked
    ids.forget()
    check(ids, {1001: "alice@family", 1003: "carol@family"})


def test_a_database_that_fails_is_asked_again() -> None:
    def name_of(number: int) -> bytes | None:
        raise OSError

    ids = IdMap("family", [], name_of, lambda name: 5)
    for _ in range(2):
        with pytest.raises(OSError):
            ids.principal(5)
        with pytest.raises(OSError):
            ids.id(parse("a@family"))


def test_what_is_kept_is_bounded() -> None:
    ids = mapped((1, 3 * MAX_CACHED, "a1@x"))
    for number in range(1, 2 * MAX_CACHED):
        ids.principal(number + MAX_CACHED)
        ids.principal(MAX_ID - number)
        ids.id(Principal(f"stranger{number}@x"))
        assert len(ids._principals) + len(ids._ids) <= MAX_CACHED + 1
    check(ids, {3 * MAX_CACHED: f"a{3 * MAX_CACHED}@x"})


NAMES = ["a", "b", "root", "a0", "a1", "a00", "a01", "a9", "a10", "0", "1", "sid:1", "x%20"]
ROWS = st.lists(
    st.builds(Row, st.integers(0, 12), st.integers(1, 12), st.sampled_from(NAMES).map(lambda name: f"{name}@family")),
    max_size=3,
)
RAW = st.sampled_from([b"a", b"b", b"root", b"a0", b"a1", b"a01", b"a10", b"1", b"sid:1", b"x ", b"x%20", b""])


@given(ROWS, st.lists(st.tuples(st.integers(0, 25), RAW), max_size=8))
def test_it_is_injective_under_any_rows_and_any_database(rows: list[Row], users: list[tuple[int, bytes]]) -> None:
    known = Users(*users)
    try:
        ids = IdMap("family", rows, known.name_of, known.id_of)
    except Malformed:
        numbers = [number for row in rows for number in range(row.first, row.first + row.size)]
        names = [name for row in rows for name in spelled(row)]
        twice = len(set(numbers)) < len(numbers) or len(set(names)) < len(names)
        assert twice or len(names) < len(numbers) or "root@family" in names
        return
    found = {number: ids.principal(number) for number in range(30)}
    there = {principal: number for number, principal in found.items() if principal is not None}
    assert len(there) == sum(principal is not None for principal in found.values())
    ids.forget()
    assert all(ids.id(principal) == number for principal, number in there.items())
    assert there.get(parse("root@family"), 0) == 0
    for row in rows:
        assert [found[row.first + n] for n in range(row.size)] == spelled(row)


def spelled(row: Row) -> list[str]:
    """What a row says, said by somebody else: the last digits that are a number, counted on."""
    name, _, realm = row.principal.partition("@")
    if row.size == 1:
        return [row.principal]
    starts = [at for at in range(len(name)) if name[at:].isdigit() and (name[at] != "0" or at == len(name) - 1)]
    if not starts or "%" in name:
        return []
    return [f"{name[: starts[0]]}{int(name[starts[0] :]) + n}@{realm}" for n in range(row.size)]


class Changing(RuleBasedStateMachine):
    """A database that changes all the time under a map that is not told: what it says is still one to one."""

    ids: IdMap

    @initialize(rows=ROWS)
    def begin(self, rows: list[Row]) -> None:
        self.users = Users()
        try:
            self.ids = IdMap("family", rows, self.users.name_of, self.users.id_of)
        except Malformed:
            self.ids = IdMap("family", [], self.users.name_of, self.users.id_of)

    @rule(lines=st.lists(st.tuples(st.integers(0, 25), RAW), max_size=6))
    def change(self, lines: list[tuple[int, bytes]]) -> None:
        self.users.lines = lines

    @rule(number=st.integers(0, 25))
    def ask_who(self, number: int) -> None:
        found = self.ids.principal(number)
        assert found is None or self.ids.id(found) == number

    @rule(name=RAW)
    def ask_for_the_id(self, name: bytes) -> None:
        principal = named(name, "family")
        if principal is not None and (number := self.ids.id(principal)) is not None:
            assert self.ids.principal(number) == principal

    @invariant()
    def one_to_one(self) -> None:
        pairs = {(number, who) for number, who in self.ids._principals.items() if who is not None}
        assert pairs == {(number, who) for who, number in self.ids._ids.items() if number is not None}


TestChanging = Changing.TestCase
