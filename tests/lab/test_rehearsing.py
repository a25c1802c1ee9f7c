"""A rehearsal's steps come from its seed alone, and its model knows how each ends."""

import pytest

from commonhold.lab.rehearsing import (
    DONE,
    KEPT,
    MENDED,
    NOT_KEPT,
    NOT_MENDED,
    NOT_READ,
    READ,
    READABLE,
    WHOLE,
    Model,
    schedule,
)  # fmt: skip

SERVERS = ("server1", "server2", "server3", "server4", "server5")
USERS = ("alice", "bob")


def model() -> Model:
    made = Model(SERVERS, USERS, 3)
    assert made.put("alice") == KEPT
    return made


def test_the_same_seed_has_the_same_steps() -> None:
    first, again = (list(schedule(7, SERVERS, USERS, 3, 200)) for _ in range(2))
    assert first == again and len(first) == 200 and first[0].verb == "put"
    assert first != list(schedule(8, SERVERS, USERS, 3, 200))


def test_everything_that_can_befall_a_grid_does_and_ends_in_every_way() -> None:
    steps = [step for seed in range(20) for step in schedule(seed, SERVERS, USERS, 3, 200)]
    verbs = {"put", "get", "check", "repair", "kill", "damage", "hostile", "slow", "cut", "mend"}
    assert {step.verb for step in steps} == verbs
    ends = {KEPT, NOT_KEPT, READ, NOT_READ, WHOLE, READABLE, MENDED, NOT_MENDED, DONE}
    assert {step.ends for step in steps} == ends
    assert all(step.text for step in steps)


@pytest.mark.parametrize("verb", ["kill", "hostile", "damage"])
def test_what_is_left_of_five_is_enough_for_a_reader_while_it_is_three(verb: str) -> None:
    made = model()
    assert made.check("bob", 1) == WHOLE
    for server in SERVERS[:2]:
        made.befall(verb, server, "")
        assert made.get("bob", 1) == READ and made.check("bob", 1) == READABLE
    made.befall(verb, "server3", "")
    assert made.get("bob", 1) == made.check("bob", 1) == NOT_READ
    assert made.get("alice", 1) == READ  # who has it at home


def test_a_line_that_is_cut_is_one_users() -> None:
    made = model()
    made.befall("cut", "server1", "bob")
    assert made.put("bob") == NOT_KEPT and made.put("alice") == KEPT
    assert made.check("bob", 1) == READABLE and made.check("alice", 1) == WHOLE
    made.befall("mend", "server1", "")
    assert made.check("bob", 1) == WHOLE


def test_damage_is_repaired_where_all_servers_are_there_and_honest() -> None:
    made = model()
    made.befall("damage", "server1", "")
    made.befall("kill", "server2", "")
    assert made.repair(1) == NOT_MENDED
    made.befall("mend", "server2", "")
    assert made.check("bob", 1) == READABLE and made.repair(1) == MENDED and made.check("bob", 1) == WHOLE
    made.befall("hostile", "server3", "")
    assert made.repair(1) == NOT_MENDED
