"""What the commands do in every shape. A test module makes the `hold` fixture (see `cli/running`) and imports these."""

import json
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


def test_what_a_name_points_at_is_published_resolved_and_shown(hold: Hold, tmp_path: Path) -> None:
    first, second = (last(hold("add", "-Q", "-", given=data)) for data in (b"first", b"second"))
    name = last(hold("key", "new", "me"))
    for number, root in enumerate((first, second)):
        assert last(hold("name", "publish", root, "--lifetime", "1h")) == name
        assert last(hold("name", "resolve", name)) == f"/ipfs/{root}"
        said = json.loads(hold("name", "inspect", name, "--json").stdout)
        assert (said["value"], said["sequence"]) == (f"/ipfs/{root}", number)
    assert hold("cat", f"/ipns/{name}").stdout == b"second"
    assert b"code: E-NOT-FOUND" in hold("name", "publish", first, "--key", "none", code=1).stderr
    hold("key", "rename", "me", "you")
    assert last(hold("name", "publish", first, "--key", "you")) == name
    hold("key", "rm", "you")
    assert hold("key", "ls").stdout == b"" and hold("cat", f"/ipns/{name}").stdout == b"first"


def test_nodes_of_graphs_are_shown_and_measured(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(os.urandom(3 << 20))
    root = last(hold("add", "-r", "-Q", "tree"))
    assert "large" in hold("dag", "get", root).stdout.decode()
    said = json.loads(hold("dag", "stat", root, "--json").stdout)
    assert said["blocks"] == 5 and said["bytes"] > 3 << 20
    cid = last(hold("block", "put", "--codec", "dag-cbor", "-", given=b"\x82\x01\x82\x02\x03"))
    assert hold("dag", "get", cid).stdout == b"[1,[2,3]]\n" and hold("dag", "get", f"{cid}/1/0").stdout == b"2\n"
    assert b"code: E-INVALID" in hold("block", "put", "--codec", "dag-cbor", "-", given=b"\xff", code=1).stderr
    assert b"code: E-TOO-LARGE" in hold("block", "put", "-", given=bytes(17 << 20), code=1).stderr


def test_damage_is_found_and_named_with_what_it_touches(hold: Hold, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    root = last(hold("add", "-Q", "-", "--name", "damaged", given=data))
    hold("add", "-Q", "-", "--name", "whole", given=b"whole")
    (segment,) = [path for path in (tmp_path / "repo" / "segments").iterdir() if data[:100] in path.read_bytes()]
    with open(segment, "r+b") as file:
        file.seek(segment.read_bytes().index(data[:100]) + 1000)
        file.write(bytes(10))
    said = [json.loads(row) for row in hold("verify", "--json", code=16).stdout.splitlines()]
    assert [row["pins"] for row in said[:-1]] == [["damaged"]] and said[-1]["damaged"] == 1 and said[-1]["blocks"] == 2
    assert b"touches pin damaged" in hold("verify", code=16).stdout
    assert b"code: E-CORRUPT" in hold("cat", root, code=16).stderr
