"""A server of a real grid leaves: its users move what they keep there, it ends empty, and everything reads back."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.files import files
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Lab:
    """A grid of real processes, and its commands."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory.parent)}

    def hold(self, *words: str, code: int = 0) -> str:
        """Run a command; what it printed."""
        done = subprocess.run(
            [Path(sys.executable).with_name("hold"), *words],
            capture_output=True, text=True, cwd=ROOT, env=self._environment, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    def alice(self, *words: str, code: int = 0) -> str:
        return self.hold("--repo", str(self.directory / "alice"), *words, code=code)

    def state(self, server: str) -> str:
        return str(self.directory / server)

    def files(self, server: str) -> list[Path]:
        return files(self.directory / server / "shares")

    def seen(self, server: str) -> dict[str, Any]:
        """What alice knows of a server, when introducers were asked."""
        rows = map(json.loads, self.alice("servers", "--ask", "--json").splitlines())
        return next(row for row in rows if row["name"] == server and row["purpose"] == "storage")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    try:
        made.hold("lab", "up", str(made.directory), "--servers", "6", "--users", "alice,bob")
        yield made
    finally:
        made.hold("--quiet", "lab", "down", str(made.directory), "--remove")


def test_a_server_leaves_and_nothing_is_lost(lab: Lab, tmp_path: Path) -> None:
    data = {name: os.urandom(size) for name, size in (("one", 3_000_000), ("two", 70_000))}
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    first = lab.alice("put", str(tmp_path / "one"), "/hold/me").split()[-1]
    name = next(one for one in (f"server{number}" for number in range(1, 7)) if lab.files(one))
    state, before = lab.state(name), len(lab.files(name))

    # a disk first, while all goes on
    disk = str(tmp_path / "disk")
    lab.hold("server", "add", state, disk)
    lab.hold("server", "drain", state, f"{state}/shares", "--wait")
    assert not lab.files(name) and len(files(Path(disk))) == before
    assert lab.alice("check", first, "--deep")

    # then the whole server
    assert f"{before} share" in lab.hold("server", "drain", state)
    until(lambda: bool(lab.seen(name)["leaving"]), 0.5)
    assert not lab.seen(name)["upload"]["allowed"] and lab.seen(name)["read"]["allowed"]
    assert "read only, leaving" in lab.alice("servers")
    second = lab.alice("put", str(tmp_path / "two"), "/hold/me").split()[-1]
    rows = [json.loads(line) for line in lab.hold("server", "show", state, "--json").splitlines()]
    assert rows[0]["shares"] == before and rows[0]["leaving"]
    for one in (first, second):
        lab.alice("repair", one)
    assert "no share is left, and it can be switched off" in lab.hold("server", "drain", state, "--wait")
    assert not files(Path(disk))

    # without it all is there, also for who has nothing of it
    lab.hold("--quiet", "lab", "kill", str(lab.directory), name)
    lab.alice("check", first, "--deep")
    for one, content in ((first, data["one"]), (second, data["two"])):
        lab.hold("--repo", lab.state("bob"), "get", one, "-o", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content
        (tmp_path / "back").unlink()
