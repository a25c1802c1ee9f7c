"""What a relay is told, and what it is not taken for."""

from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.relay import config
from tests.gossip.statements import pin
from tests.introducer.processes import hold

GOOD: dict[str, Any] = {"state": "/srv/r", "listen": ["tcp:0.0.0.0:7375"], "ports": "7376-7378"}
ONE, TWO, THREE = (str(pin(name)) for name in ("a", "b", "c"))


def test_a_config_says_all_there_is_to_say() -> None:
    found = config.parse(
        GOOD | {"listen": ["tcp:0.0.0.0:7375", "tcp:[::]:7375"], "announce": ["tcp:R.example:1"], "servers": [ONE, TWO]}
    )
    assert (found.answers, list(found.granted)) == (7376, [7377, 7378]) and found.servers == (pin("a"), pin("b"))
    assert found.announce == ("tcp:r.example:1",) and len(found.listen) == 2


def test_without_a_word_nobody_gets_a_port() -> None:
    assert config.parse(GOOD).servers == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "srv"), ("listen", []), ("listen", ["unix:/run/x"]), ("listen", ["tcp:0.0.0.0:1"] * 2),
        ("listen", [f"tcp:10.0.0.{n}:1" for n in range(5)]), ("announce", ["tor:x"]), ("announce", ["unix:/run/x"]),
        ("ports", None), ("ports", "7376"), ("ports", "7378-7376"), ("ports", "7376-7376"), ("ports", "0-5"),
        ("ports", "7376-65536"), ("ports", "7370-7380"), ("ports", 7376), ("servers", ["x"]), ("servers", [ONE, ONE]),
        ("servers", [str(pin(str(n))) for n in range(257)]), ("unknown", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(field: str, value: object) -> None:
    with pytest.raises(HoldError) as caught:
        config.parse(GOOD | {field: value})
    assert caught.value.kind is Kind.USAGE and caught.value.why.startswith(f"{field}: ")


def test_there_has_to_be_a_port_for_each() -> None:
    with pytest.raises(HoldError, match="ports: 2 for servers, and there are 3"):
        config.parse(GOOD | {"servers": [ONE, TWO, THREE]})


@pytest.mark.slow
def test_the_command_makes_one_shows_it_and_makes_no_second(tmp_path: Path) -> None:
    state = tmp_path / "r"
    words = ["--listen", "tcp:127.0.0.1:1", "--announce", "tcp:r.example:1", "--ports", "7-9", "--server", ONE]
    made = hold("relay", "init", str(state), *words).split("\n")
    assert made[0] == f"{ONE} 8" and made[1].endswith("@tcp:r.example:1")
    assert hold("relay", "show", str(state)).split("\n") == made
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert "there is a relay already" in hold("relay", "init", str(state), *words, code=1)
    assert "hold relay init" in hold("relay", "run", str(tmp_path / "none"), code=1)
