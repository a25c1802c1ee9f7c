"""What an introducer is told, and what it is not taken for."""

from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.introducer import config
from tests.gossip.statements import GRID, grid_of, key, pin
from tests.introducer.processes import hold

GOOD: dict[str, Any] = {"state": "/srv/i", "grid": str(GRID), "listen": ["tcp:0.0.0.0:7374"]}


def test_a_config_says_all_there_is_to_say() -> None:
    found = config.parse(
        GOOD | {
            "announce": ["tcp:Attic.example:7374", "tcp:10.0.0.1:7374"],
            "introducers": [f"{pin('a')}@tcp:cellar.example:1,tcp:10.0.0.2:1"], "blessers": [str(grid_of("x"))],
            "name": "attic",
        }
    )  # fmt: skip
    assert found.grids == (GRID,) and found.announce == ("tcp:attic.example:7374", "tcp:10.0.0.1:7374")
    assert found.introducers[0].server == pin("a") and len(found.introducers[0].hints) == 2
    assert found.blessers == {key("x")} and found.name == "attic" and str(found.listen[0]) == "tcp:0.0.0.0:7374"


def test_several_grids_take_the_field_that_says_so() -> None:
    several = {name: value for name, value in GOOD.items() if name != "grid"} | {
        "grids": [str(GRID), str(grid_of("x"))]
    }
    assert config.parse(several).grids == (GRID, grid_of("x"))
    for wrong in (GOOD | {"grids": [str(GRID)]}, several | {"grids": []}, several | {"grids": [str(GRID)] * 2}):
        with pytest.raises(HoldError) as caught:
            config.parse(wrong)
        assert caught.value.kind is Kind.USAGE and "grid" in caught.value.why


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "srv"), ("state", 1), ("grid", "gnonsense"), ("grid", [str(GRID)]), ("listen", []),
        ("listen", ["tor:x"]), ("listen", "tcp:0.0.0.0:1"), ("listen", ["tcp:0.0.0.0:1"] * 17), ("announce", ["x"]),
        ("announce", [f"tcp:10.0.0.1:{n}" for n in range(1, 18)]), ("introducers", ["p@tcp:a.example:1"]),
        ("introducers", [f"{pin('a')}@tcp:a.example:1"] * 65), ("blessers", ["x"]), ("name", "a\n"), ("name", "a" * 65),
        ("unknown", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(field: str, value: object) -> None:
    with pytest.raises(HoldError) as caught:
        config.parse(GOOD | {field: value})
    assert caught.value.kind is Kind.USAGE and caught.value.why.startswith(f"{field}: ")


@pytest.mark.slow
def test_the_command_makes_one_shows_it_and_makes_no_second(tmp_path: Path) -> None:
    state = tmp_path / "i"
    words = ("--grid", str(GRID), "--listen", "tcp:127.0.0.1:1", "--announce", "tcp:attic.example:1")
    made = hold("introducer", "init", str(state), *words).strip()
    pin_text, _, hints = made.partition("@")
    assert hints == "tcp:attic.example:1" and hold("introducer", "show", str(state)).strip() == made
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert "there is an introducer already" in hold("introducer", "init", str(state), *words, code=1)
    assert "hold introducer init" in hold("introducer", "run", str(tmp_path / "none"), code=1)
    two = hold("introducer", "init", str(tmp_path / "two"), *words, "--grid", str(grid_of("x"))).strip()
    assert not two.startswith(pin_text) and config.read(tmp_path / "two" / "introducer.toml").grids[1] == grid_of("x")
