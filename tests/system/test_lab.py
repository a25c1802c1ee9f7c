"""A lab is rehearsed with: what befalls it ends as its model says, and the same seed has the same trace."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_HOLD = Path(sys.executable).with_name("hold")
_STEPS = 14
_SEEDS = range(100, 110) if os.environ.get("HOLD_SOAK") else ()
_LONG = 100


def hold(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [_HOLD, "--json", *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def rows(*words: object) -> list[dict[str, Any]]:
    done = hold(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("labs") / "lab"
    try:
        rows("lab", "up", found, "--introducers", 1)
        yield found
    finally:
        hold("lab", "down", found, "--remove")
        left = subprocess.run(["pgrep", "-f", str(found)], capture_output=True, check=False).stdout
        assert left == b"" and not found.exists()


def test_the_same_seed_has_the_same_trace(lab: Path) -> None:
    first = rows("lab", "rehearse", lab, "--seed", 7, "--steps", _STEPS)
    assert first == rows("lab", "rehearse", lab, "--seed", 7, "--steps", _STEPS)
    assert len(first) == _STEPS


@pytest.mark.soak
@pytest.mark.parametrize("seed", _SEEDS)
def test_whatever_befalls_a_grid_ends_as_it_must(lab: Path, seed: int) -> None:
    assert len(rows("lab", "rehearse", lab, "--seed", seed, "--steps", _LONG)) == _LONG


def test_one_user_is_cut_off_from_one_server_and_the_other_is_not(lab: Path) -> None:
    rows("lab", "mend", lab)
    rows("lab", "partition", lab, "alice", "server2")

    def reached(user: str) -> set[str]:
        asked = rows("--repo", lab / user, "quota")
        return {row["name"] for row in asked if row.get("used") is not None}

    assert reached("bob") - reached("alice") == {"server2"}
    rows("lab", "mend", lab)
    assert reached("alice") == reached("bob")


def test_a_server_that_lies_is_found_out_by_who_reads(lab: Path, tmp_path: Path) -> None:
    rows("lab", "mend", lab)
    (tmp_path / "file").write_bytes(b"it is so" * 1000)
    capability = rows("--repo", lab / "alice", "put", tmp_path / "file")[-1]["capability"]
    status = {row["part"]: row for row in rows("lab", "hostile", lab, "server1") if "part" in row}
    assert status["server1"]["lies"] and not status["server2"]["lies"]
    done = hold("--repo", lab / "bob", "check", capability, "--deep")
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["whole"] and found["readable"]
    pin = json.loads((lab / "lab.json").read_text())["pins"]["server1"]
    assert {server for pack in found["packs"] for server, _ in pack["damaged"]} == {pin}
    assert rows("--repo", lab / "bob", "get", capability, "-o", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"it is so" * 1000
