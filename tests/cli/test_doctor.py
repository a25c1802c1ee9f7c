"""`hold doctor` on real repositories, nodes and sockets: it says what is wrong, changes nothing and always ends."""

import argparse
import grp
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commonhold.cli.doctor import run as doctor_run
from commonhold.cli.output import Output
from commonhold.host import sockets
from commonhold.host.repository import Lock
from commonhold.ipc.peer import groups_of
from tests.cli.running import Hold, hold
from tests.host.people import plain_user
from tests.node.serving import serving

__all__ = ["hold"]

Rows = dict[str, list[dict[str, Any]]]
Doctor = Callable[..., Rows]


@pytest.fixture
def doctor(hold: Hold) -> Doctor:
    """What it says of a repository, by the name of the check."""

    def run(*words: str, code: int = 0, **more: Any) -> Rows:
        found: Rows = {}
        for line in hold("doctor", "--json", *words, code=code, **more).stdout.splitlines():
            row = json.loads(line)
            assert (row["try"] is None) == (row["status"] == "OK"), row
            found.setdefault(row["check"], []).append(row)
        return found

    return run


def only(rows: Rows, check: str) -> tuple[str, str]:
    """The status of a check that found one thing, and what it said and advised."""
    (row,) = rows[check]
    return row["status"], f"{row['said']}\n{row['try']}"


def test_a_sound_repository_is_said_to_be_so_in_lines(hold: Hold, tmp_path: Path) -> None:
    hold("add", "-", given=b"hello")
    lines = hold("doctor").stdout.decode().splitlines()
    assert f"OK    repository: {tmp_path / 'repo'} ($HOLD_REPO)" in lines
    assert "OK    lock: free" in lines and any(line.startswith("OK    store: no damage") for line in lines)
    assert all(line.startswith(("OK    ", "WARN  ", "      try: ")) for line in lines)


def test_a_failure_has_an_exit_code_and_a_line_that_mends_it(hold: Hold, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "repo").chmod(0o777)
    (tmp_path / "link").symlink_to("repo")
    status, said = only(doctor("--repo", str(tmp_path / "link"), code=1), "modes")
    assert status == "FAIL"
    subprocess.run(["bash", "-c", said.splitlines()[1]], check=True)
    assert only(doctor(), "modes")[0] == "OK"


def test_a_key_that_others_can_read_fails(hold: Hold, doctor: Doctor, tmp_path: Path) -> None:
    hold("key", "new", "blog")
    assert only(doctor(), "keys")[0] == "OK"
    (tmp_path / "repo" / "keys" / "blog.pem").chmod(0o644)
    status, said = only(doctor(code=1), "keys")
    assert status == "FAIL" and said.endswith(f"chmod 600 {tmp_path}/repo/keys/blog.pem")


def test_a_locked_repository_is_not_opened(hold: Hold, doctor: Doctor, tmp_path: Path) -> None:
    hold("add", "-", given=b"hello")
    lock = Lock(tmp_path / "repo", "add something")
    rows = doctor()
    lock.release()
    status, said = only(rows, "lock")
    assert status == "WARN" and "hold add something" in said and "store" not in rows


def test_without_a_repository_the_machine_is_checked_all_the_same(doctor: Doctor, tmp_path: Path) -> None:
    rows = doctor(code=1, HOLD_REPO=None, HOME=str(tmp_path / "nobody"), cwd=Path("/"))
    assert only(rows, "repository")[0] == "FAIL" and "clock" in rows and "units" in rows
    rows = doctor("--repo", str(tmp_path / "none"), code=1)
    assert only(rows, "repository") == ("FAIL", f"{tmp_path}/none (--repo) is none\nhold --repo {tmp_path}/none init")


def test_a_repository_that_is_closed_to_us_is_not_taken_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_user() as home:
        (home / "closed").mkdir(0o000)
        code = doctor_run(argparse.Namespace(repo=str(home / "closed")), Output(json=False, quiet=True))
        (home / "closed").chmod(0o700)
    lines = capsys.readouterr().out.splitlines()
    assert code == 1 and f"FAIL  repository: {home}/closed is closed to you" in lines
    assert "OK    shared blocks: there is no other repository to compare with" in lines


def test_what_hides_another_and_what_both_have_is_told(hold: Hold, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    hold("init", "--here", cwd=tmp_path / "work")
    hold("init", HOLD_REPO=None)
    search = {"cwd": tmp_path / "work", "HOLD_REPO": None}
    hold("add", "-", given=b"hello", **search)
    hold("add", "-", given=b"other", HOLD_REPO=None)
    rows = doctor(**search)
    assert [row["status"] for row in rows["repository"]] == ["OK", "WARN"]
    assert rows["repository"][1]["try"] == f"hold --repo {tmp_path}/.hold status"
    assert only(rows, "shared blocks")[0] == "OK"
    hold("add", "-", given=b"hello", HOLD_REPO=None)
    status, said = only(doctor(**search), "shared blocks")
    assert status == "WARN" and "1 of 1 blocks looked at" in said
    lock = Lock(tmp_path / ".hold", "add something")
    status, said = only(doctor(**search), "shared blocks")
    lock.release()
    assert status == "WARN" and "could not be checked" in said and "hold add something" in said


def test_a_node_is_asked_for_its_version_our_quota_and_our_blocks(hold: Hold, doctor: Doctor, tmp_path: Path) -> None:
    hold("init", HOLD_REPO=None)
    hold("add", "-", given=b"hello", HOLD_REPO=None)
    with serving(tmp_path / "node", quota=5, group="no-such-group") as (config, _):
        there = {"HOLD_REPO": str(config.socket)}
        hold("add", "-", given=b"hello", **there)
        rows = doctor(code=1, **there)
    assert only(rows, "node")[0] == "OK"
    assert only(rows, "quota")[0] == "FAIL" and only(rows, "group")[0] == "FAIL"
    assert only(rows, "shared blocks")[0] == "WARN"


def test_what_a_killed_node_left_may_be_removed(doctor: Doctor, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        sockets.bind(left, tmp_path / "repo" / "node.sock")
    assert only(doctor(), "node")[1].endswith(f"rm {tmp_path}/repo/node.sock")


@contextmanager
def planted(directory: Path) -> Iterator[Path]:
    """A socket that takes calls and never answers."""
    path = directory / "node.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(64)
        yield path


def test_a_node_that_never_answers_does_not_keep_doctor(doctor: Doctor) -> None:
    with tempfile.TemporaryDirectory(prefix="hold-") as short, planted(Path(short)) as path:
        rows = doctor("--repo", str(path), code=1)
    assert only(rows, "node")[0] == "FAIL" and "does not answer" in only(rows, "node")[1]
    assert only(rows, "shared blocks")[0] == "WARN" and "could not be checked" in only(rows, "shared blocks")[1]


def test_a_node_that_answers_nonsense_is_a_finding(doctor: Doctor) -> None:
    def answer(listening: socket.socket) -> None:
        with listening.accept()[0] as caller:
            for _ in range(2):
                caller.recv(4096)
                caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with tempfile.TemporaryDirectory(prefix="hold-") as short, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{short}/node.sock")
        listening.listen(64)
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        rows = doctor("--repo", f"{short}/node.sock", code=1)
        thread.join()
    assert only(rows, "node")[0] == "FAIL" and "not what a node says" in only(rows, "node")[1]


@pytest.mark.root
def test_the_group_that_a_silent_socket_is_for_is_named(doctor: Doctor) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs another group")
    others = next(one for one in grp.getgrall() if one.gr_gid not in {os.getegid(), *os.getgroups(), *groups_of(0)})
    with tempfile.TemporaryDirectory(prefix="hold-") as short, planted(Path(short)) as path:
        os.chown(path, 0, others.gr_gid)
        path.chmod(0o660)
        said = only(doctor("--repo", str(path), code=1), "group")[1]
        assert said.endswith(f"sudo adduser root {others.gr_name}")
        path.chmod(0o666)
        assert "group" not in doctor("--repo", str(path), code=1)


_PLANT = """import os, socket, sys
os.setuid(12345)
planted = socket.socket(socket.AF_UNIX)
planted.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
planted.listen(64)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.root
def test_a_socket_that_somebody_else_planted_is_not_believed(doctor: Doctor) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    with tempfile.TemporaryDirectory(prefix="hold-") as shared:
        Path(shared).chmod(0o1777)
        path = f"{shared}/node.sock"
        words = [sys.executable, "-c", _PLANT, path]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
            assert stranger.stdout and stranger.stdout.readline() == b"there\n"
            status, said = only(doctor("--repo", path, code=1), "node")
            stranger.communicate()
    assert status == "FAIL" and "uid 12345 is behind it" in said and said.endswith(f"ls -l {path}")
