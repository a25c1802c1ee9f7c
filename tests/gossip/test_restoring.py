"""What was kept before a restart comes back as it was; who ended a connection badly is left alone for longer."""

import pytest

from commonhold.formats.blessing import INTRODUCER, STORAGE
from commonhold.formats.gossip import MAX_BLESSERS, Have
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind
from commonhold.gossip.subscriptions import asked
from commonhold.gossip.values import Bounds, Closed, Contact, Publish, Restore
from tests.gossip.statements import EPOCH, GRID, announced, grid_of, key, pin, revoked
from tests.gossip.transcripts import Played, dialled, record, told

A = announced("a")


def test_what_was_kept_is_told_and_given_as_anybodys() -> None:
    me = Played()
    me.do(Restore(Kind.ANNOUNCEMENT, A))
    me.do(Restore(Kind.REVOCATIONS, revoked("blesser")))
    assert me.kept() == {A, revoked("blesser")} and me.machine.own() == []
    me.give(me.peer(), announced("a", 2))
    assert me.kept() == {announced("a", 2), revoked("blesser")}


def test_what_was_kept_is_no_change_that_its_key_has_made() -> None:
    me = Played(bounds=Bounds(newcomers=2, changes_per_key=2))
    for number in range(5):
        me.do(Restore(Kind.ANNOUNCEMENT, announced(f"s{number}", blessers=())))
        me.do(Restore(Kind.ANNOUNCEMENT, announced(f"s{number}", 2, blessers=())))
        me.do(Restore(Kind.ANNOUNCEMENT, announced(f"s{number}", 3, blessers=())))
    assert me.kept() == {announced(f"s{number}", 3, blessers=()) for number in range(5)}


def test_what_was_kept_is_judged_like_all_else() -> None:
    me = Played(bounds=Bounds(room=4000))
    for data in (announced("x", grid=grid_of("x")), announced("old", until=EPOCH - 301)):
        me.do(Restore(Kind.ANNOUNCEMENT, data))
    assert me.kept() == set()
    broken = bytearray(A)
    broken[-1] ^= 1
    with pytest.raises(Malformed):
        me.do(Restore(Kind.ANNOUNCEMENT, bytes(broken)))
    for number in range(10):
        me.do(Restore(Kind.ANNOUNCEMENT, announced(f"s{number}", blessers=())))
    assert 0 < len(me.kept()) < 4 and me.machine.weight <= 4000


def test_an_introducer_that_was_kept_is_dialled() -> None:
    me = Played()
    me.do(Restore(Kind.ANNOUNCEMENT, announced("i", blessers=(), purpose=INTRODUCER)))
    assert dialled(me.wait(1)) == [pin("i")]


def test_who_broke_the_stream_is_left_alone_for_as_long_as_who_broke_the_rules() -> None:
    for fault, pause in ((False, 20), (True, 620)):
        me = Played(configured=(Contact(pin("i"), ("tcp:192.0.2.1:1",)),))
        me.wait(1)
        peer = me.peer(dialled=True, server=pin("i"))
        me.do(Closed(peer, fault))
        assert dialled(me.wait(pause / 2 - 10)) == [] and dialled(me.wait(pause)) == [pin("i")]


def test_ones_own_and_what_each_introducer_shows_can_be_asked_for() -> None:
    me = Played(introducer=False)
    me.do(Publish(Kind.ANNOUNCEMENT, announced("me")))
    assert [one.data for one in me.machine.own()] == [announced("me")]
    i, j = (me.peer(dialled=True, server=pin(name)) for name in "ij")
    me.say(i, Have(((record(A).id, 0),)))
    assert {view.server: list(view.ids) for view in me.machine.views()} == {pin("i"): [record(A).id], pin("j"): []}
    assert told(me.effects, j) == [] and Played().machine.views() == []


def test_any_number_of_blessers_is_asked_for() -> None:
    keys = {key(f"b{number}") for number in range(MAX_BLESSERS + 1)}
    found = asked(GRID, STORAGE, keys)
    assert len(found) == 2 and found[0].blessers | found[1].blessers == keys
    assert all(len(one.blessers) <= MAX_BLESSERS for one in found) and asked(GRID, STORAGE, ()) == ()
