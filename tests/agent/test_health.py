"""Every finding about a user and a node, and about what is kept twice, in both directions."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from commonhold.agent import health
from commonhold.agent.health import Answer, Membership, Shared
from commonhold.errors import HoldError, Kind
from commonhold.host.health import Finding
from tests.host.test_health import judged

SOCKET = Path("/run/commonhold/node.sock")
OWN = Path("/home/alice/.hold/node.sock")
STATUS = "systemctl status commonhold-node.socket"


def refused(kind: Kind, why: str, hint: str | None = None) -> HoldError:
    return HoldError("call", kind, str(SOCKET), why, hint=hint)


@pytest.mark.parametrize(
    ("found", "said", "expected"),
    [
        ("2", "an old error", ("OK", "")),
        ("1", "", ("WARN", "hold down")),
        (None, "", ("OK", "")),
        (None, "start: no room", ("WARN", "hold up")),
    ],
)
def test_an_agent_is_judged_by_its_version_and_last_words(
    found: str | None, said: str, expected: tuple[str, str]
) -> None:
    assert judged(health.agent(found, "2", said)) == [expected]


@pytest.mark.parametrize(
    ("answer", "here", "expected"),
    [
        (None, True, ("OK", "")),
        (Answer(SOCKET, version="2"), False, ("OK", "")),
        (Answer(SOCKET, version="1"), False, ("WARN", "sudo systemctl restart commonhold-node")),
        (
            Answer(SOCKET, error=refused(Kind.UNREACHABLE, "Connection refused"), code=errno.ECONNREFUSED),
            True,
            ("WARN", f"rm {SOCKET}"),
        ),
        (
            Answer(SOCKET, error=refused(Kind.UNREACHABLE, "Connection refused"), code=errno.ECONNREFUSED),
            False,
            ("FAIL", STATUS),
        ),
        (Answer(OWN, version="1"), True, ("WARN", "hold down; hold up")),
        (Answer(SOCKET, error=refused(Kind.UNREACHABLE, "timed out")), True, ("FAIL", STATUS)),
        (Answer(OWN, error=refused(Kind.UNREACHABLE, "timed out")), True, ("FAIL", f"fuser -v {OWN}")),
        (
            Answer(SOCKET, error=refused(Kind.UNREACHABLE, "Permission denied"), code=errno.EACCES),
            False,
            ("FAIL", f"ls -l {SOCKET}"),
        ),
        (Answer(SOCKET, error=refused(Kind.DENIED, "uid 12 is behind it")), True, ("FAIL", f"ls -l {SOCKET}")),
        (
            Answer(SOCKET, error=refused(Kind.DENIED, "others could have put it there", "chmod go-w /run")),
            True,
            ("FAIL", "chmod go-w /run"),
        ),
    ],
)
def test_a_node_answers_and_is_of_this_version(answer: Answer | None, here: bool, expected: tuple[str, str]) -> None:
    assert judged(health.node(answer, "2", here)) == [expected]


ALICE = Membership("commonhold-users", 50, "alice", frozenset({50, 1000}), frozenset({50, 1000}), admitted=True)
NONE: frozenset[int] = frozenset()


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (ALICE, [("OK", "")]),
        (replace(ALICE, gid=None), [("FAIL", "sudo systemd-sysusers")]),
        (
            replace(ALICE, database=NONE, process=NONE, admitted=False),
            [("FAIL", "sudo adduser alice commonhold-users")],
        ),
        (replace(ALICE, database=NONE, process=NONE), [("OK", "")]),  # the node's own user
        (replace(ALICE, process=NONE), [("WARN", "newgrp commonhold-users")]),
        (replace(ALICE, database=NONE), [("WARN", "sudo adduser alice commonhold-users")]),
    ],
)
def test_a_member_is_one_in_the_database_and_in_this_login(one: Membership, expected: list[tuple[str, str]]) -> None:
    assert judged(health.membership(one)) == expected


def test_without_a_group_there_is_nothing_to_be_a_member_of() -> None:
    assert health.membership(None) == []


@pytest.mark.parametrize(
    ("charged", "limit", "status"), [(899, 1000, "OK"), (5, None, "OK"), (900, 1000, "WARN"), (1000, 1000, "FAIL")]
)
def test_a_quota_is_told_before_it_is_full(charged: int, limit: int | None, status: str) -> None:
    assert judged(health.quota(charged, limit))[0][0] == status


@pytest.mark.parametrize(("damaged", "doubt", "status"), [(0, "", "OK"), (0, "a lost log", "WARN"), (2, "", "FAIL")])
def test_what_a_store_knows_to_be_wrong_is_told(damaged: int, doubt: str, status: str) -> None:
    assert judged(health.store(damaged, doubt))[0][0] == status


def test_what_two_places_keep_is_told_with_what_sharing_would_tell() -> None:
    one, other = Path("/home/alice/.hold"), Path("/var/lib/commonhold")
    found: list[Finding] = health.sharing([Shared(one, other, 3, 10), Shared(one, Path("/srv/it"), 0, 10)])
    assert judged(found) == [("WARN", f"hold --repo {other} pin ls")]
    assert "3 of 10" in found[0].said and "sealed" in found[0].said


def test_nothing_shared_is_no_fault() -> None:
    assert judged(health.sharing([])) == [("OK", "")]
    found = health.sharing([Shared(Path("/a"), Path("/b"), 0, 10)])
    assert judged(found) == [("OK", "")] and "/a, /b" in found[0].said
