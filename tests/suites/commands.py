"""What the commands do in every shape. A test module makes the `hold` fixture (see `cli/running`) and imports these."""

import os
from pathlib import Path

import pytest

from tests.cli.running import Hold, last


def test_what_is_added_comes_back(hold: Hold, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for number in range(40):
        (tree / "sub" / f"file {number}").write_bytes(os.urandom(number * 100))
    (tree / "large").write_bytes(os.urandom(5 << 20))
    (tree / "empty").write_bytes(b"")
    os.symlink("large", tree / "link")
    root = last(hold("add", "-r", "-Q", "tree", "--name", "tree"))
    hold("get", root, "-o", "back")
    for path in [*tree.rglob("*")]:
        other = tmp_path / "back" / path.relative_to(tree)
        assert other.is_dir() if path.is_dir() else other.read_bytes() == path.read_bytes()
    assert os.readlink(tmp_path / "back" / "link") == "large"
    assert (
        hold("cat", f"{root}/large", "--offset", "1000000", "--length", "2000000").stdout
        == ((tree / "large").read_bytes()[1_000_000:3_000_000])
    )
    assert b"sub" in hold("ls", root).stdout and b"irectory" in hold("stat", f"{root}/sub").stdout
    assert last(hold("add", "-r", "-Q", "--reuse", "tree", "--name", "tree")) == root
    assert last(hold("add", "-r", "-Q", "-n", "tree")) == root


def test_pins_keep_and_gc_deletes(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 3000)
    (tmp_path / "b").write_bytes(b"b" * 3000)
    first, second = (last(hold("add", "-Q", name, "--name", name)) for name in "ab")
    assert [line.split()[-1] for line in hold("pin", "ls").stdout.decode().splitlines()] == ["a", "b"]
    hold("pin", "rename", "a", "c")
    hold("pin", "add", second, "--name", "d")
    hold("pin", "rm", "b", "c")
    hold("gc")
    assert hold("cat", second).stdout == b"b" * 3000
    assert b"code: E-NOT-FOUND" in hold("cat", first, code=1).stderr
    assert b"code: E-NOT-FOUND" in hold("pin", "rm", "c", code=1).stderr
    assert b"code: E-NOT-FOUND" in hold("pin", "add", first, code=1).stderr


def test_archives_and_blocks_go_out_and_in(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(3 << 20))
    root = last(hold("add", "-Q", "file", "--name", "file"))
    hold("export", root, "-o", "file.car")
    hold("pin", "rm", "file")
    hold("gc")
    hold("cat", root, code=1)
    hold("import", "file.car", "--name", "again")
    assert hold("cat", root).stdout == (tmp_path / "file").read_bytes()
    cid = last(hold("block", "put", "-", given=b"a block"))
    assert hold("block", "get", cid).stdout == b"a block" and hold("block", "stat", cid).stdout.split()[-1] == b"7"
    hold("block", "rm", cid)
    assert b"code: E-NOT-FOUND" in hold("block", "get", cid, code=1).stderr
    kept = hold("pin", "ls", "again").stdout.split()[0]
    assert kept and b"code: E-BUSY" in hold("block", "rm", root, code=1).stderr


def test_sealed_trees_and_names(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "secret").write_bytes(b"what nobody else reads")
    capability = last(hold("add", "-r", "-Q", "--sealed", "tree", "--name", "sealed"))
    assert capability.startswith("holdr1")
    assert hold("cat", f"{capability}/secret").stdout == b"what nobody else reads"
    assert b"secret" in hold("ls", capability).stdout
    root = last(hold("add", "-r", "-Q", "tree"))
    hold("key", "new", "me")
    name = last(hold("name", "publish", root, "--key", "me"))
    assert hold("cat", f"/ipns/{name}/secret").stdout == b"what nobody else reads"
    assert b"me" in hold("key", "ls").stdout


def test_everything_is_checked_and_counted(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(200_000))
    hold("add", "-Q", "file")
    assert b"all sound" in hold("verify").stdout
    assert b"pins:       1" in hold("repo", "stat").stdout


@pytest.mark.parametrize("words", [["cat", "no-cid"], ["add", "not there"], ["pin", "rename", "none", "other"]])
def test_errors_are_in_one_form(hold: Hold, words: list[str]) -> None:
    done = hold(*words, code=None)
    lines = done.stderr.decode().splitlines()
    assert done.returncode in (1, 2)
    assert lines[0].startswith("error: ") and lines[1].startswith("try: ") and lines[-1].startswith("code: E-")
