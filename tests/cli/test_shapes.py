"""One suite over the three shapes: nothing but the wiring differs."""

import grp
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Hold, last, runner
from tests.cli.shell import shell
from tests.suites.commands import *  # noqa: F403
from tests.suites.own import *  # noqa: F403
from tests.suites.sharing import *  # noqa: F403
from tests.suites.surroundings import *  # noqa: F403
from tests.waiting import SECONDS

__all__ = ["shell"]

pytestmark = pytest.mark.slow


def group() -> str:
    return grp.getgrgid(os.getgid()).gr_name


def begin(shape: str, hold: Hold, home: Path) -> "subprocess.Popen[bytes] | None":
    """Have the repository served as a shape wants it."""
    if shape == "single user":
        hold("up")
    if shape != "system":
        return None
    (home / "node.toml").write_text(
        f"""repository = "{home}/repo"\nsocket = "{home}/repo/node.sock"\ngroup = "{group()}"\n"""
    )
    node = subprocess.Popen([sys.executable, "-m", "commonhold.cli", "node", "--config", str(home / "node.toml")])
    until = time.monotonic() + SECONDS
    while not (home / "repo" / "node.sock").exists():
        assert node.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    return node


@pytest.fixture(params=["embedded", "single user", "system"])
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hold(shape: str, tmp_path: Path) -> Iterator[Hold]:
    run = runner(tmp_path)
    run("init")
    node = begin(shape, run, tmp_path)
    try:
        yield run
    finally:
        if node is not None:
            node.terminate()
            assert node.wait(SECONDS) == 0
        elif shape == "single user":
            run("down")


def test_status_says_which_shape_it_is_and_what_isolation_it_gives(hold: Hold, shape: str) -> None:
    said = json.loads(hold("status", "--json").stdout)
    assert said["shape"] == shape and said["isolation"]
    assert ("single user" in said["isolation"] or "your own node" in said["isolation"]) == (shape != "system")


def test_readers_can_be_named_where_others_read(hold: Hold, shape: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"for all")
    if shape != "system":
        assert b"single user" in hold("add", "--public", "file", code=2).stderr
        return
    hold("add", "--public", "file", "--name", "file")
    assert hold("pin", "ls").stdout.rstrip().endswith(b"for everybody")
    hold("add", "--reader", "0", "--reuse", "file", "--name", "file")
    assert json.loads(hold("pin", "ls", "--json").stdout)["readers"] == ["root"]
    assert b"E-USAGE" in hold("add", "--reader", "no such user", "file", code=2).stderr


def test_what_one_shape_put_another_finds(tmp_path: Path) -> None:
    hold = runner(tmp_path)
    hold("init")
    (tmp_path / "file").write_bytes(b"content")
    first = last(hold("add", "-Q", "file", "--name", "before"))
    hold("up")
    try:
        assert hold("cat", first).stdout == b"content"
        hold("pin", "rename", "before", "meanwhile")
        second = last(hold("add", "-Q", "-", "--name", "second", given=b"more"))
        assert b"was up" in hold("up").stdout
        assert b"code: E-BUSY" in hold("verify", "--rebuild-index", code=1).stderr
    finally:
        hold("down")
    assert hold("cat", second).stdout == b"more" and b"no node" in hold("down").stdout
    assert [json.loads(line)["name"] for line in hold("pin", "ls", "--json").stdout.splitlines()] == [
        "meanwhile",
        "second",
    ]


def test_a_killed_nodes_socket_is_no_obstacle(tmp_path: Path) -> None:
    hold = runner(tmp_path)
    hold("init")
    root = last(hold("add", "-Q", "-", given=b"content"))
    os.kill(json.loads(hold("up", "--json").stdout)["pid"], 9)
    time.sleep(0.2)
    assert (tmp_path / "repo" / "node.sock").is_socket()
    assert hold("cat", root).stdout == b"content"
    hold("up")
    try:
        assert hold("cat", root).stdout == b"content"
    finally:
        hold("down")


def test_a_repository_with_a_long_path_is_served(tmp_path: Path) -> None:
    place = tmp_path / ("long" * 30) / ("er" * 50)
    hold = runner(tmp_path)
    hold("--repo", str(place), "init")
    hold("--repo", str(place), "up")
    try:
        root = last(hold("--repo", str(place), "add", "-Q", "-", given=b"content"))
        assert hold("--repo", str(place), "cat", root).stdout == b"content"
    finally:
        hold("--repo", str(place), "down")


def test_what_keeps_a_node_from_starting_is_said(tmp_path: Path) -> None:
    hold = runner(tmp_path)
    assert b"code: E-NO-REPOSITORY" in hold("up", code=10).stderr
    hold("init")
    (tmp_path / "repo" / "node.sock").mkdir()
    assert b"error: up" in hold("up", code=1).stderr
