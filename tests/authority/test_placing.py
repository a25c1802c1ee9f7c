"""Which server keeps which share: the keys alone decide, and as many servers as can be have one of their own.

REQUIREMENTS B3, B17, D24.
"""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.blessed import Verdict, announced, may_upload
from commonhold.authority.derived import Secret, rank
from commonhold.authority.placing import Placed, TooFew, order, place
from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE
from commonhold.formats.pin import SpkiPin
from tests.authority.parties import DAY, NOW, blessing, grid, lists, pin
from tests.examples import examples

PACK, OTHER = Secret(b"p" * 32), Secret(b"o" * 32)
YES, NO = Verdict(True, "blessed"), Verdict(False, "not blessed for storage: it shows no blessing")
SERVERS = [pin(f"server {number}") for number in range(12)]
BLESSED = dict.fromkeys(SERVERS, YES)


def placed(found: Placed | TooFew) -> Placed:
    assert isinstance(found, Placed), found
    return found


def test_d24_the_order_is_of_keys_and_the_pack_s_secret_whatever_comes_first() -> None:
    found = order(PACK, SERVERS)
    assert found == order(PACK, reversed(SERVERS)) == sorted(SERVERS, key=lambda server: rank(PACK, server))
    assert order(OTHER, SERVERS) != found and order(PACK, SERVERS * 2) == found


def test_d24_a_server_more_or_less_does_not_disturb_the_others() -> None:
    found = order(PACK, SERVERS)
    for left_out in SERVERS:
        assert order(PACK, [server for server in SERVERS if server != left_out]) == [
            server for server in found if server != left_out
        ]


def test_d24_clients_that_reach_servers_in_different_ways_agree_where_shares_live() -> None:
    """One by announcements, one by addresses of its own, as overrides give them."""
    trust = Trust((of_its_blesser(grid()),))

    def client(address: str) -> Placed:
        verdicts = {}
        for server in SERVERS:
            said = Announcement(
                grid(), STORAGE, server, (f"{address}:{server}",), 1, NOW + DAY, (blessing(server=server),)
            )
            verdicts[server] = may_upload(announced(said), trust, lists(), NOW)
        return placed(place(PACK, 10, 7, verdicts, {}))

    assert client("tcp") == client("tor")


def test_b17_all_servers_with_a_valid_blessing_are_used() -> None:
    found = placed(place(PACK, 12, 12, BLESSED, {}))
    assert set(found.put.values()) == set(SERVERS)
    assert {order(Secret(bytes([n]) * 32), SERVERS)[0] for n in range(200)} == set(SERVERS)


def test_shares_go_to_the_first_in_order() -> None:
    assert placed(place(PACK, 10, 7, BLESSED, {})).put == dict(enumerate(order(PACK, SERVERS)[:10]))


def test_b3_nothing_is_put_where_it_may_not_be_and_the_refusal_says_why() -> None:
    few = dict.fromkeys(SERVERS[:6], YES) | dict.fromkeys(SERVERS[6:], NO)
    assert set(placed(place(PACK, 10, 6, few, {})).put.values()) == set(SERVERS[:6])
    found = place(PACK, 10, 7, few, {})
    assert isinstance(found, TooFew) and (found.happiness, found.needed) == (6, 7)
    assert set(found.refused) == set(SERVERS[6:])
    assert found.lines[0] == "6 servers can have a share of their own, 7 are needed"
    assert f"{SERVERS[7]}: not blessed for storage: it shows no blessing" in found.lines


def test_what_is_there_stays_and_only_the_rest_is_put() -> None:
    there = {SERVERS[0]: {3}, SERVERS[1]: {4, 5}}
    found = placed(place(PACK, 10, 10, BLESSED, there))
    assert found.kept[3] == SERVERS[0] and found.kept.keys() | found.put.keys() == set(range(10))
    assert len(found.kept) == 2 and not {*SERVERS[:2]} & set(found.put.values())


def test_a_share_moves_to_the_count_of_a_server_that_takes_nothing_more() -> None:
    """Share 0 is at both; only the second could take another, so the first has to keep 0."""
    two = {SERVERS[0]: NO, SERVERS[1]: YES}
    for one, other in permutations(SERVERS[:2]):
        two = {one: NO, other: YES}
        found = placed(place(PACK, 2, 2, two, {one: {0}, other: {0}}))
        assert (found.kept, found.put) == ({0: one}, {1: other})


def test_shares_that_nobody_has_given_out_count_for_nothing() -> None:
    found = placed(place(PACK, 2, 2, BLESSED, {SERVERS[0]: {-1, 2, 10**9}}))
    assert not found.kept and len(found.put) == 2


def test_a_share_at_a_server_that_nobody_announces_any_more_counts() -> None:
    found = place(PACK, 2, 2, {SERVERS[0]: YES}, {SERVERS[1]: {1}})
    assert placed(found).kept == {1: SERVERS[1]} and placed(found).put == {0: SERVERS[0]}


SMALL = SERVERS[:5]


def best(shares: int, allowed: set[SpkiPin], there: dict[SpkiPin, set[int]]) -> tuple[int, int]:
    """The most servers that can have a share of their own, and how many of these need nothing sent: by trying all."""

    def go(left: list[SpkiPin], free: frozenset[int]) -> tuple[int, int]:
        if not left:
            return (0, 0)
        server, rest = left[0], left[1:]
        found = [go(rest, free)]
        for share in free:
            has = share in there.get(server, ())
            if has or server in allowed:
                count, kept = go(rest, free - {share})
                found.append((count + 1, kept + has))
        return max(found)

    return go(SMALL, frozenset(range(shares)))


@given(
    shares=st.integers(1, 4),
    allowed=st.sets(st.sampled_from(SMALL)),
    there=st.dictionaries(st.sampled_from(SMALL), st.sets(st.integers(0, 5))),
    secret=st.binary(min_size=32, max_size=32),
)
@settings(deadline=None, max_examples=examples(200))
def test_as_many_servers_as_can_be_have_a_share_and_as_few_shares_as_can_be_move(
    shares: int, allowed: set[SpkiPin], there: dict[SpkiPin, set[int]], secret: bytes
) -> None:
    verdicts = {server: YES if server in allowed else NO for server in SMALL}
    found = placed(place(Secret(secret), shares, 0, verdicts, there))
    assert (found.happiness, len(found.kept)) == best(shares, allowed, there)
    places = [*found.kept.values(), *found.put.values()]
    assert len(set(places)) == len(places) and not found.kept.keys() & found.put.keys()
    assert all(share in there[server] for share, server in found.kept.items())
    assert set(found.put.values()) <= allowed and {*found.kept, *found.put} <= set(range(shares))
