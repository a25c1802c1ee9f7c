"""A server that has joined a grid: by which way it dials its blessers, and when it would rather not start."""

from dataclasses import replace
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import charter
from commonhold.formats.blessing import STORAGE
from commonhold.formats.charter import Blesser
from commonhold.formats.hint import TcpHint
from commonhold.grids import membership
from commonhold.grids.membership import Membership, Mode
from commonhold.storage import enrolled
from commonhold.transport.rules import Rules, Way
from tests.gossip.statements import GRID, pin

TOR = TcpHint("127.0.0.1", 9050)
HIDDEN = Rules(anonymous=True, tcp=Way.TOR, tor=TOR)


def joined(state: Path, rules: Rules) -> Membership:
    """A membership that `hold join --server` wrote."""
    blesser = Blesser(GRID.blesser, pin("blesser"), ("tcp:attic.example:4653",))
    made = Membership(
        state, charter.of_one(GRID, "family", blesser, (STORAGE,)), Mode.NONE, "", rules, serves=(STORAGE,)
    )
    (state / membership.FILE).write_text(membership.text(made))
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    found = tmp_path / "family"
    found.mkdir()
    return found


def test_who_has_not_joined_asks_nobody(state: Path) -> None:
    assert enrolled.joined(state, HIDDEN) is None


def test_blessers_are_dialled_by_the_rules_of_the_servers_config_and_else_by_those_it_joined_with(state: Path) -> None:
    made = joined(state, Rules(tor=TOR))
    assert enrolled.joined(state, Rules()) == made
    assert enrolled.joined(state, HIDDEN) == replace(made, rules=HIDDEN)


def test_who_joined_to_be_anonymous_and_listens_to_all_the_world_is_told_so(state: Path) -> None:
    made = joined(state, HIDDEN)
    for rules in (Rules(), Rules(tor=TOR)):
        with pytest.raises(HoldError) as caught:
            enrolled.joined(state, rules)
        assert caught.value.kind is Kind.ANONYMITY and "server.toml" in caught.value.hint
    assert enrolled.joined(state, HIDDEN) == made
