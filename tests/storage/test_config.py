"""What a storage server is told, and what is wrong with it."""

from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.storage import config
from tests.gossip.statements import GRID, grid_of, key, pin

MANY = [f"{pin('a')}@" + ",".join(f"tcp:10.0.{row}.{n}:1" for n in range(9)) for row in range(2)]
GOOD: dict[str, Any] = {"state": "/srv/hold", "grid": str(GRID)}


def test_a_config_says_all_there_is_to_say() -> None:
    found = config.parse(
        GOOD | {
            "blessers": [str(grid_of("x"))], "needed": 1, "listen": ["tcp:0.0.0.0:7373", "unix:/run/hold"],
            "announce": ["tcp:Attic.example:7373"], "introducers": [f"{pin('a')}@tcp:cellar.example:1"],
            "relay": [f"{pin('b')}@tcp:relay.example:1"], "name": "attic", "reserve": 5,
        }
    )  # fmt: skip
    assert found.blessers == {key("x")} and found.announce == ("tcp:attic.example:7373",)
    assert [str(one) for one in found.introducers] == [f"{pin('a')}@tcp:cellar.example:1"]
    assert [str(one) for one in found.relays] == [f"{pin('b')}@tcp:relay.example:1"]
    assert (found.needed, found.name, found.reserve, len(found.listen)) == (1, "attic", 5, 2)


def test_without_a_word_the_grids_own_key_is_the_blesser_and_nobody_is_told() -> None:
    found = config.parse(GOOD)
    assert found.blessers == {GRID.blesser} and found.introducers == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "hold"), ("grid", None), ("blessers", [1]), ("needed", -1), ("needed", True), ("listen", ["tor:x"]),
        ("announce", [f"tcp:10.0.0.1:{n}" for n in range(1, 18)]), ("introducers", ["tcp:10.0.0.1:1"]),
        ("introducers", [f"{pin('a')}@tcp:10.0.0.1:1"] * 17), ("relay", ["tcp:10.0.0.1:1"]),
        ("relay", [f"{pin('a')}@unix:/run/x"]), ("relay", [f"{pin('a')}@tcp:10.0.0.1:1"] * 5), ("relay", MANY),
        ("name", "\n"), ("reserve", "1G"), ("unknown", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(field: str, value: object) -> None:
    with pytest.raises(HoldError) as caught:
        config.parse(GOOD | {field: value})
    assert caught.value.kind is Kind.USAGE and caught.value.why.startswith(f"{field}: ")


def test_who_is_to_be_anonymous_has_no_relay() -> None:
    """A relay knows where its servers are."""
    hidden = GOOD | {"anonymous": True, "tor": "tcp:127.0.0.1:9050", "relay": [f"{pin('b')}@tcp:relay.example:1"]}
    with pytest.raises(HoldError) as caught:
        config.parse(hidden)
    assert caught.value.kind is Kind.ANONYMITY and caught.value.why.startswith("relay: ")
