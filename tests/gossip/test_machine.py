"""The machine, by transcript: what comes in, what goes out."""

from collections.abc import Callable
from typing import Any

import pytest

from commonhold.crypto.statements import signed
from commonhold.formats import dagcbor
from commonhold.formats import gossip as wire
from commonhold.formats.blessing import INTRODUCER, STORAGE, Purpose
from commonhold.formats.gossip import (
    FIRST,
    LAST,
    MAX_HOPS,
    MAX_OFFERS,
    Digest,
    Have,
    Hello,
    Id,
    Listing,
    Part,
    Range,
    Ranges,
    Records,
    Slot,
    Subscribe,
    Subscription,
    Want,
    id_of,
)
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.flood import PATIENCE
from commonhold.gossip.peers import (
    ASKED_OF,
    BYTES,
    COMPARISONS,
    HELLO,
    MAX_ASKED,
    MAX_VAIN,
    MESSAGES,
    PLACE,
    STAY,
    SUBSCRIBING,
)
from commonhold.gossip.reading import digest_of
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.values import Ask, Closed, Connected, Contact, Contradicted, Failed, Learned, Peer, Publish, Tick
from tests.gossip.liars import forged
from tests.gossip.statements import DAY, EPOCH, GRID, announced, grid_of, key, pin, revoked, seed
from tests.gossip.transcripts import READER, Played, dialled, given, hung_up, record, said, told

ASKS = Subscription(GRID, STORAGE, frozenset((key("blesser"),)))
ONE = announced("one")


def test_a_statement_goes_from_who_has_it_to_all_who_lack_it() -> None:
    me = Played()
    a, b, c = me.peer(), me.peer(), me.peer()
    me.wait(3)
    effects = me.offer(a, ONE)
    assert said(effects, a, Want) == [Want((record(ONE).id,))]
    assert not said(me.offer(b, ONE), b, Want)  # one at a time
    effects = me.say(a, Records((ONE,), ())) + me.wait(1)
    assert told(effects, c) == [(record(ONE).id, 1)]
    assert not told(effects, a) and not told(effects, b)  # who has it need not be told
    assert given(me.say(c, Want((record(ONE).id,))), c) == [ONE]


def test_somebody_else_is_asked_if_one_does_not_answer_or_is_gone() -> None:
    me = Played()
    a, b, c = me.peer(), me.peer(), me.peer()
    for peer in (a, b, c):
        me.offer(peer, ONE)
    assert said(me.wait(PATIENCE), b, Want) == [Want((record(ONE).id,))]
    assert said(me.do(Closed(b)), c, Want) == [Want((record(ONE).id,))]
    me.say(a, Records((ONE,), ()))
    assert me.kept() == set() and me.machine.counts["not asked for"] == 1  # too late
    me.say(c, Records((ONE,), ()))
    assert me.kept() == {ONE}


def test_what_was_not_asked_for_is_not_looked_at() -> None:
    me = Played()
    peer = me.peer()
    assert me.say(peer, Records((ONE, b"anything"), ())) == [] and me.kept() == set()


def test_fields_that_nobody_knows_reach_others_as_they_are() -> None:
    until = EPOCH + DAY
    fields = dagcbor.decode(record(ONE).data)
    body = dagcbor.decode(fields["body"]) | {"not_after": until, "later": {"deep": [1, b"x"]}}
    data = signed(Kind.ANNOUNCEMENT, dagcbor.encode(body), seed("one")).encoded
    first, second = Played(), Played()
    me = first
    for hop in (first, second):
        before, after = hop.peer(), hop.peer()
        hop.give(before, data)
        data_after = given(hop.say(after, Want((record(data).id,))), after)
        assert data_after == [data]
        me = hop
    assert me.kept() == {data}


def test_a_statement_of_another_grid_goes_nowhere_and_is_nobodys_fault() -> None:
    me = Played()
    a, b = me.peer(), me.peer()
    foreign = announced("one", grid=grid_of("elsewhere"))
    effects = me.give(a, foreign) + me.wait(60)
    assert not me.kept() and not told(effects, b) and not hung_up(effects)
    assert me.machine.counts["of another grid"] == 1
    assert not said(me.offer(a, foreign), a, Want)


def test_who_is_of_another_grid_is_left() -> None:
    me = Played()
    peer = me.connect()
    (end,) = hung_up(me.say(peer, Hello(True, (grid_of("elsewhere"),))))
    assert end.peer == peer and not end.fault


def test_of_several_grids_each_peer_is_told_of_those_in_common() -> None:
    other = grid_of("elsewhere")
    me = Played(grids=frozenset((GRID, other)))
    a, b = me.peer(), me.peer(grid=other)
    here, there = announced("one"), announced("two", grid=other)
    effects = me.give(a, here) + me.wait(1)
    assert not told(effects, b)
    effects = me.give(b, there) + me.wait(1)
    assert not told(effects, a)
    assert not given(me.say(b, Want((record(here).id,))), b)
    (listing,) = said(me.say(a, Ranges((Range(FIRST, LAST, 0, Digest(bytes(16))),))), a, Listing)
    assert listing.parts[0].ids == (record(here).id,)


def test_a_subscription_is_for_one_grid() -> None:
    other = grid_of("elsewhere")
    me = Played(grids=frozenset((GRID, other)))
    client = me.connect()
    me.say(client, Hello(False, (GRID, other)))
    me.say(client, Subscribe((ASKS,)))
    here, there = announced("one"), announced("two", grid=other)
    source = me.connect()
    me.say(source, Hello(True, (GRID, other)))
    effects = me.give(source, here, there) + me.wait(1)
    assert [found for found, _ in told(effects, client)] == [record(here).id]


def test_who_tells_of_something_meanwhile_is_not_told_of_it() -> None:
    me = Played()
    a, b, c = me.peer(), me.peer(), me.peer()
    me.give(a, ONE)
    me.offer(b, ONE)
    effects = me.wait(1)
    assert not told(effects, b) and told(effects, c)


def test_a_flood_ends_after_so_many_hops_but_who_asked_for_it_is_told() -> None:
    """B15."""
    me = Played()
    a, b, client = me.peer(), me.peer(), me.subscriber(ASKS)
    me.offer(a, ONE, hops=MAX_HOPS)
    effects = me.say(a, Records((ONE,), ())) + me.wait(1)
    assert not told(effects, b) and told(effects, client) == [(record(ONE).id, MAX_HOPS)]


# ── subscribers ──


def test_a_subscriber_is_told_of_matches_alone() -> None:
    """B10."""
    me = Played()
    source, client = me.peer(), me.subscriber(ASKS)
    right = [announced("a"), announced("b", blessers=("other", "blesser"))]
    introducer = announced("i", blessers=(), purpose=INTRODUCER)
    wrong = [announced("c", blessers=("other",)), announced("d", blessers=()), announced("e", purpose=Purpose("x"))]
    lists = [revoked("blesser"), revoked("other")]
    effects = me.give(source, *right, introducer, *wrong)
    effects += me.give(source, *lists, kind=Kind.REVOCATIONS) + me.wait(1)
    assert {found for found, _ in told(effects, client)} == {
        *(record(data).id for data in (*right, introducer)), record(lists[0], Kind.REVOCATIONS).id
    }  # fmt: skip


def test_a_new_subscription_takes_the_place_of_the_old_one() -> None:
    me = Played()
    source, client = me.peer(), me.subscriber(ASKS)
    me.say(client, Subscribe((ASKS._replace(purpose=Purpose("x")),)))
    effects = me.give(source, announced("a"), announced("b", purpose=Purpose("x"))) + me.wait(1)
    assert [found for found, _ in told(effects, client)] == [record(announced("b", purpose=Purpose("x"))).id]


def test_a_subscriber_that_comes_later_is_shown_what_matches_when_it_compares() -> None:
    me = Played()
    me.give(me.peer(), announced("a"), announced("b", blessers=()))
    client = me.subscriber(ASKS)
    nothing = Range(FIRST, LAST, 0, Digest(bytes(16)))
    (listing,) = said(me.say(client, Ranges((nothing,))), client, Listing)
    assert listing.parts == (Part(FIRST, LAST, (record(announced("a")).id,)),)


def test_a_subscriber_hears_what_it_asked_for_and_keeps_nothing_else() -> None:
    me = Played(introducer=False)
    me.do(Ask((ASKS,)))
    source = me.peer(dialled=True, server=pin("i"))
    wanted, other = announced("a"), announced("b", blessers=())
    effects = me.give(source, wanted, other)
    assert [one.record.data for one in effects if isinstance(one, Learned)] == [wanted]
    assert me.kept() == {wanted}
    assert [one.data for one in me.machine.matching()] == [wanted]


def test_who_asks_for_something_else_hears_of_what_there_is_already() -> None:
    other = ASKS._replace(blessers=frozenset((key("other"),)))
    data = announced("a", blessers=("other",))
    for introducer in (True, False):
        me = Played(introducer=introducer)
        me.do(Ask((ASKS,)))
        source = me.peer(dialled=True, server=pin("i"))
        effects = me.give(source, data)
        assert not [one for one in effects if isinstance(one, Learned)]
        effects = me.do(Ask((other,)))
        effects += me.give(source, data)
        assert [one.record.data for one in effects if isinstance(one, Learned)] == [data]


def test_a_subscriber_says_what_it_asks_for_and_publishes_what_is_its_own_and_passes_nothing_on() -> None:
    me = Played(introducer=False)
    me.do(Ask((ASKS,)))
    me.do(Publish(Kind.ANNOUNCEMENT, announced("me", blessers=())))
    a = me.peer(dialled=True, server=pin("i"))
    b = me.peer(dialled=True, server=pin("j"))
    effects = me.wait(1)
    assert said(me.effects, a, Hello) == [Hello(False, (GRID,))]
    assert said(me.effects, a, Subscribe) == [Subscribe((ASKS,))]
    own = record(announced("me", blessers=())).id
    assert told(effects, a) == [(own, 0)] == told(effects, b)
    assert given(me.say(a, Want((own,))), a) == [announced("me", blessers=())]
    effects = me.give(a, announced("a")) + me.wait(1)
    assert not told(effects, b)
    assert not given(me.say(b, Want((record(announced("a")).id,))), b)


def test_a_subscriber_reveals_to_no_introducer_what_others_have_shown() -> None:
    me = Played(introducer=False)
    me.do(Ask((ASKS,)))
    a, b = me.peer(dialled=True, server=pin("i")), me.peer(dialled=True, server=pin("j"))
    me.give(a, *(announced(f"s{number}") for number in range(5)))
    me.wait(300)
    theirs = [Range(FIRST, LAST, 3, Digest(b"x" * 16))]
    effects = me.say(b, Ranges(tuple(theirs)))
    assert said(effects, b, Ranges) == [Ranges((_nothing(),))] and not said(me.effects, b, Listing)
    assert not said(me.effects, b, Have)


def _nothing() -> Range:
    return Ids().whole()


def test_what_is_published_here_has_to_be_sound_and_the_latest() -> None:
    me = Played()
    me.do(Publish(Kind.ANNOUNCEMENT, announced("me", 2)))
    me.do(Publish(Kind.ANNOUNCEMENT, announced("me", 2)))
    me.do(Publish(Kind.REVOCATIONS, revoked("me")))
    for kind, data in (
        (Kind.ANNOUNCEMENT, announced("me", 1)),
        (Kind.ANNOUNCEMENT, announced("me", 3, until=EPOCH - DAY)),
        (Kind.ANNOUNCEMENT, announced("me", 3, grid=grid_of("elsewhere"))),
        (Kind.ANNOUNCEMENT, b"nothing"),
        (Kind.REVOCATIONS, announced("me", 3)),
    ):
        with pytest.raises(Malformed):
            me.do(Publish(kind, data))
    assert me.kept() == {announced("me", 2), revoked("me")}


def test_what_only_a_subscriber_asked_for_has_no_standing_when_it_is_gone() -> None:
    me = Played()
    client = me.subscriber(ASKS._replace(blessers=frozenset((key("other"),))))
    data = announced("a", blessers=("other",))
    me.give(me.peer(), data)
    store, slot = me.machine._ground.store, record(data).slot
    assert store.level(slot) == 1
    me.do(Closed(client))
    assert store.level(slot) == 0


def test_two_statements_of_one_sequence_are_reported_with_both() -> None:
    me = Played()
    peer = me.peer()
    pair = [record(announced("a", 3, label=label)) for label in "xy"]
    low, high = sorted(pair, key=lambda one: one.id)
    me.give(peer, low.data)
    (found,) = [one for one in me.give(peer, high.data) if isinstance(one, Contradicted)]
    assert (found.counts.data, found.other.data) == (high.data, low.data)
    assert me.kept() == {high.data}


# ── comparisons ──


def test_who_dialled_compares_at_once_then_ever_more_rarely_while_nothing_comes_of_it() -> None:
    me = Played()
    peer = me.peer(dialled=True, server=pin("i"))
    assert said(me.effects, peer, Ranges) == [Ranges((_nothing(),))]
    counts = []
    for _ in range(6):
        counts.append(len(said(me.wait(60), peer, Ranges)))
    assert counts[0] > counts[1] >= counts[5] and counts[5] <= 1
    assert len(said(me.wait(3600), peer, Ranges)) <= 31


def test_if_something_came_of_a_comparison_the_next_is_soon() -> None:
    me = Played()
    peer = me.peer(dialled=True, server=pin("i"))

    def until_next() -> float:
        begun = me.now
        while not said(me.wait(0.5), peer, Ranges):
            pass
        return me.now - begun

    me.wait(1000)
    until_next()
    assert until_next() > 50
    me.give(peer, ONE)
    until_next()
    assert until_next() < 4


def test_if_more_was_offered_than_could_be_asked_for_the_next_comparison_is_at_once() -> None:
    me = Played()
    peer = me.peer(dialled=True, server=pin("i"))
    me.wait(1000)
    many = [announced(f"n{number}", blessers=()) for number in range(MAX_ASKED + 1)]
    me.offer(peer, *many[:MAX_OFFERS])
    me.offer(peer, *many[MAX_OFFERS:])
    me.say(peer, Records(tuple(many[:1000]), ()))
    assert not said(me.wait(0.5), peer, Ranges)
    me.say(peer, Records(tuple(many[1000:MAX_ASKED]), ()))
    assert said(me.wait(0.5), peer, Ranges)


def test_comparisons_that_come_too_often_are_not_answered() -> None:
    me = Played()
    peer = me.peer()
    me.give(peer, ONE)
    answers = sum(len(said(me.say(peer, Ranges((_nothing(),))), peer, Listing)) for _ in range(100))
    assert answers == COMPARISONS[0]
    me.wait(1)
    assert said(me.say(peer, Ranges((_nothing(),))), peer, Listing)


def test_who_was_dialled_waits_to_be_asked() -> None:
    me = Played()
    peer = me.peer()
    assert not said(me.wait(600), peer, Ranges)


def test_a_listing_is_answered_with_what_is_lacking_on_either_side() -> None:
    me = Played()
    a, b = me.peer(), me.peer()
    me.give(a, announced("old", 1), announced("mine"))
    me.wait(1)
    theirs = [record(announced("old", 2)).id, record(announced("theirs")).id]
    effects = me.say(b, Listing((Part(FIRST, LAST, tuple(sorted(theirs))),))) + me.wait(1)
    assert {found for want in said(effects, b, Want) for found in want.ids} == set(theirs)
    assert [found for found, _ in told(effects, b)] == [record(announced("mine")).id]


# ── who does wrong ──


def junk(me: Played, peer: Peer) -> list[Any]:
    return me.say(peer, b"junk")


def bad_signature(me: Played, peer: Peer) -> list[Any]:
    ((found, data),) = forged(READER, ONE).items()
    me.say(peer, Have(((found, 0),)))
    return me.say(peer, Records((data,), ()))


def malformed(me: Played, peer: Peer) -> list[Any]:
    data = b"no statement"
    me.say(peer, Have(((id_of(FIRST, 1, digest_of(data)), 0),)))
    return me.say(peer, Records((data,), ()))


def as_another(me: Played, peer: Peer) -> list[Any]:
    right = record(ONE).id
    me.say(peer, Have(((id_of(right.slot, 9, right.digest), 0),)))
    return me.say(peer, Records((ONE,), ()))


def many_messages(me: Played, peer: Peer) -> list[Any]:
    return [one for _ in range(int(MESSAGES[0]) + 1) for one in me.say(peer, Want(()))]


def many_bytes(me: Played, peer: Peer) -> list[Any]:
    data = wire.encode(Records((bytes(1 << 20),), ()))
    return [one for _ in range(int(BYTES[0]) // len(data) + 2) for one in me.say(peer, data)]


def second_hello(me: Played, peer: Peer) -> list[Any]:
    return me.say(peer, Hello(True, (GRID,)))


def subscribes_often(me: Played, peer: Peer) -> list[Any]:
    return [one for _ in range(int(SUBSCRIBING[0]) + 1) for one in me.say(peer, Subscribe(()))]


def gives_nothing(me: Played, peer: Peer) -> list[Any]:
    fake = tuple((id_of(Slot(number.to_bytes(16)), 1, Digest(number.to_bytes(16))), 0) for number in range(MAX_VAIN))
    me.say(peer, Have(fake))
    return me.wait(PATIENCE + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        junk, bad_signature, malformed, as_another, many_messages, many_bytes, second_hello, subscribes_often,
        gives_nothing,
    ],
)  # fmt: skip
def test_who_does_wrong_is_hung_up_on_and_kept_away_for_a_while(wrong: Callable[[Played, Peer], list[Any]]) -> None:
    me = Played()
    peer = me.peer(server=pin("liar"))
    (end,) = hung_up(wrong(me, peer))
    assert end.peer == peer and end.fault and not me.kept()
    assert me.say(peer, Have(((record(ONE).id, 0),))) == []  # it is not listened to any more
    again = hung_up(me.do(Connected(Peer(1000), pin("liar"), False)))
    assert [one.peer for one in again] == [1000]
    me.now += 700
    assert not hung_up(me.do(Connected(Peer(1001), pin("liar"), False)))


def test_who_says_something_before_hello_is_hung_up_on() -> None:
    me = Played()
    (end,) = hung_up(me.say(me.connect(), Have(())))
    assert end.fault


def test_a_later_version_is_nobodys_fault() -> None:
    me = Played()
    peer = me.peer()
    fields = dagcbor.decode(record(ONE).data)
    body = dagcbor.decode(fields["body"]) | {"v": 2}
    data = signed(Kind.ANNOUNCEMENT, dagcbor.encode(body), seed("one")).encoded
    found = id_of(FIRST, 1, digest_of(data))
    me.say(peer, Have(((found, 0),)))
    assert not hung_up(me.say(peer, Records((data,), ()))) and not me.kept()
    assert not said(me.say(peer, Have(((found, 0),))), peer, Want)
    (end,) = hung_up(me.say(peer, dagcbor.encode({"v": 2, "type": "hello"})))
    assert not end.fault
    other = me.peer()
    assert me.say(other, dagcbor.encode({"v": 1, "type": "later"})) == []


def test_no_more_is_asked_of_one_peer_at_a_time_than_is_said() -> None:
    me = Played()
    peer = me.peer()
    asked = 0
    for turn in range(3):
        ids = [
            id_of(Slot((turn << 20 | n).to_bytes(16)), 1, Digest((turn << 20 | n).to_bytes(16))) for n in range(1000)
        ]
        effects = me.say(peer, Have(tuple((found, 0) for found in ids)))
        asked += sum(len(want.ids) for want in said(effects, peer, Want))
    assert asked == MAX_ASKED <= MAX_OFFERS


@pytest.mark.parametrize("introducer", [True, False])
def test_what_is_asked_of_one_peer_has_a_rate(introducer: bool) -> None:
    """Each statement that comes has to be verified: nobody keeps a machine busy with what is new all the time."""
    me = Played()
    peer = me.peer(introducer)
    asked = 0
    for turn in range(60):
        ids = [id_of(Slot((turn << 20 | n).to_bytes(16)), 1, Digest((turn << 20 | n).to_bytes(16))) for n in range(200)]
        wants = said(me.say(peer, Have(tuple((found, 0) for found in ids))), peer, Want)
        asked += sum(len(want.ids) for want in wants)
        me.say(peer, Records((ONE,), ()))
        link = me.machine._ground.peers.get(peer)
        assert link is not None
        link.vain = 0  # as if it gave some
        me.wait(PATIENCE / 2)
    most, rate = ASKED_OF[introducer]
    assert most <= asked <= most + 300 * rate


def test_who_asks_for_the_same_again_and_again_is_not_given_it_for_ever() -> None:
    me = Played()
    a = me.peer()
    large = announced("a", addresses=tuple(f"tcp:{'x' * 290}{n}:1" for n in range(10)))
    me.give(a, large)
    want = Want((record(large).id,) * MAX_OFFERS)
    sent = sum(len(data) for _ in range(5) for data in given(me.say(a, want), a))
    assert 6 << 20 < sent <= 8 << 20


def test_who_does_not_say_hello_is_left() -> None:
    me = Played()
    peer = me.connect()
    assert [end.peer for end in hung_up(me.wait(HELLO + 1))] == [peer]


# ── room for peers ──


def test_where_there_is_no_room_one_may_look_in() -> None:
    me = Played(neighbours=2, guests=2)
    stay = [me.peer(), me.peer()]
    me.now += 1
    guests = [me.peer(), me.peer()]
    extra = me.connect()
    assert [end.peer for end in hung_up(me.effects)] == [extra]
    me.now += PLACE
    later = me.connect()
    assert [end.peer for end in hung_up(me.effects)] == [extra, guests[0]]
    me.say(later, Hello(True, (GRID,)))
    me.wait(STAY)
    ends = [end.peer for end in hung_up(me.effects)]
    assert set(ends) == {extra, *guests, later} and not any(end.fault for end in hung_up(me.effects))
    effects = me.give(stay[0], ONE) + me.wait(1)
    assert told(effects, stay[1])


def test_a_subscriber_takes_nobody_in() -> None:
    """B2."""
    me = Played(introducer=False)
    peer = me.connect()
    assert [end.peer for end in hung_up(me.effects)] == [peer]


# ── dialling ──


def introducer(name: str, number: int, blessers: tuple[str, ...] = ()) -> bytes:
    return announced(name, 1, blessers, INTRODUCER, addresses=(f"tcp:10.{number}.0.1:4000",))


def test_one_address_is_enough_to_find_the_others() -> None:
    """B12, B14: introducers are announced like any server."""
    me = Played(configured=(Contact(pin("first"), ("tcp:192.0.2.1:1",)),), draw=_Draws())
    assert dialled(me.wait(1)) == [pin("first")]
    peer = me.peer(dialled=True, server=pin("first"))
    me.give(peer, *(introducer(f"i{number}", number) for number in range(20)))
    found = dialled(me.wait(30))
    assert len(found) == len(set(found)) == 7  # and the first is the eighth
    assert set(found) <= {pin(f"i{number}") for number in range(20)}


def test_what_is_lost_is_replaced_and_who_failed_is_left_alone_for_a_while() -> None:
    me = Played(outbound=1, configured=(Contact(pin("first"), ("tcp:192.0.2.1:1",)),))
    me.wait(1)
    peer = me.peer(dialled=True, server=pin("first"))
    me.give(peer, introducer("i", 1))
    me.wait(100)
    me.do(Closed(peer))
    assert dialled(me.wait(5)) == [pin("first")]
    me.do(Failed(pin("first")))
    assert dialled(me.wait(8)) == [pin("i")]
    me.do(Failed(pin("i")))
    assert not dialled(me.wait(1))
    assert dialled(me.wait(20))


def test_who_leaves_at_once_is_left_alone_for_a_while() -> None:
    me = Played(outbound=1, configured=(Contact(pin("first"), ("tcp:192.0.2.1:1",)),))
    me.wait(1)
    me.do(Closed(me.peer(dialled=True, server=pin("first"))))
    assert not dialled(me.wait(9)) and dialled(me.wait(10))


def test_half_of_those_that_are_dialled_are_blessed_however_many_others_there_are() -> None:
    me = Played(draw=_Draws())
    peer = me.peer()
    me.give(peer, *(introducer(f"fake{number}", number) for number in range(200)))
    me.give(peer, *(introducer(f"real{number}", 7, ("blesser",)) for number in range(4)))
    found = dialled(me.wait(60))
    assert len(found) == 8 and {pin(f"real{number}") for number in range(4)} <= set(found)


def test_networks_that_few_connections_lead_to_go_first() -> None:
    me = Played(outbound=4, draw=_Draws())
    peer = me.peer()
    me.give(peer, *(introducer(f"near{number}", 1) for number in range(8)))
    me.give(peer, *(introducer(f"far{number}", 50 + number) for number in range(3)))
    found = set(dialled(me.wait(60)))
    assert {pin(f"far{number}") for number in range(3)} <= found and len(found) == 4


class _Draws:
    """Numbers that go round."""

    def __init__(self) -> None:
        self._at = 0

    def __call__(self) -> float:
        self._at = self._at * 75 + 74 & 0xFFFF
        return self._at / 0x10000


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.99])
def test_now_and_then_one_more_is_dialled_and_an_older_one_goes(draw: float) -> None:
    me = Played(outbound=4, draw=lambda: draw)
    source = me.peer()
    me.give(source, *(introducer(f"i{number}", number) for number in range(12)))
    first = dialled(me.wait(20))
    peers = [me.peer(dialled=True, server=server) for server in first]
    assert len(first) == 4 and not dialled(me.wait(100))
    (more,) = dialled(me.wait(400))
    assert more not in first
    me.peer(dialled=True, server=more)
    (end,) = hung_up(me.effects)
    assert end.peer in peers[2:] and not end.fault  # those of longest standing stay


def test_nobody_dials_themselves() -> None:
    me = Played()
    me.give(me.peer(), announced("me", 1, (), INTRODUCER), introducer("i", 1))
    assert dialled(me.wait(60)) == [pin("i")]


def test_an_introducer_that_is_announced_no_more_is_dialled_no_more() -> None:
    me = Played(outbound=1)
    peer = me.peer()
    me.give(peer, announced("i", 1, (), INTRODUCER, until=EPOCH + 10))
    assert dialled(me.wait(1)) == [pin("i")]
    for _ in range(3):
        me.do(Failed(pin("i")))
        me.wait(200)
    before = len(dialled(me.effects))
    me.do(Failed(pin("i")))
    assert not dialled(me.wait(3600)) and before > 1


def test_time_that_goes_back_breaks_nothing() -> None:
    me = Played()
    peer = me.peer(dialled=True, server=pin("i"))
    me.now -= 1000
    me.give(peer, ONE)
    me.do(Tick())
    assert me.kept() == {ONE}


def test_grids_are_what_they_are_told() -> None:
    me = Played(grids=frozenset((GRID, GridId(bytes(32)))))
    peer = me.connect()
    assert said(me.effects, peer, Hello) == [Hello(True, (GridId(bytes(32)), GRID))]
    assert isinstance(record(ONE).id, Id)
