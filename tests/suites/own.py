"""What the commands of the own tree do in every shape. A test module makes the `hold` fixture and imports these."""

import json
import os
from pathlib import Path

from tests.cli.running import Hold, last


def seen(tree: Path) -> dict[str, object]:
    """What a tree of the file system has: types, modes, times to the nanosecond, contents, targets, and hard links."""
    found: dict[str, object] = {}
    first: dict[tuple[int, int], str] = {}
    for path in sorted([tree, *tree.rglob("*")]):
        name = str(path.relative_to(tree))
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = (first.setdefault((status.st_dev, status.st_ino), name), path.read_bytes())
        found[name] = (oct(status.st_mode), status.st_mtime_ns, content)
    return found


def grow(tree: Path) -> None:
    """A tree of all that is kept."""
    (tree / "sub").mkdir(parents=True)
    (tree / "empty").mkdir(mode=0o711)
    (tree / "small").write_bytes(b"small")
    (tree / "none").write_bytes(b"")
    (tree / "sub" / "large").write_bytes(os.urandom((3 << 20) + 17))
    (tree / "sub" / "large").chmod(0o640)
    os.link(tree / "small", tree / "sub" / "same")
    os.symlink("sub/large", tree / "link")
    with (tree / "sparse").open("wb") as file:
        file.seek(40 << 20)
        file.write(b"end")
        file.truncate(100 << 20)
    os.utime(tree / "small", ns=(1, 1_234_567_890_123_456_789))
    os.utime(tree / "sub", ns=(1, 1_000_000_000_000_000_001))


def test_what_is_put_into_the_own_tree_comes_out_of_it(hold: Hold, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    hold("put", "tree", "/hold/me")
    assert hold("ls", "-n", "/hold/me").stdout == b"tree\n"
    hold("get", "/hold/me/tree", "-o", "back")
    assert seen(tmp_path / "back") == seen(tmp_path / "tree")
    assert (tmp_path / "back" / "sparse").lstat().st_blocks < 100
    assert hold("cat", "/hold/me/tree/small").stdout == b"small"
    assert (
        hold("cat", "/hold/me/tree/sub/large", "--offset", "1048570", "--length", "1048600").stdout
        == ((tmp_path / "tree" / "sub" / "large").read_bytes()[1048570:][:1048600])
    )
    row = json.loads(hold("stat", "/hold/me/tree/small", "--json").stdout)
    assert (row["type"], row["size"], row["links"], row["modified"]) == ("file", 5, 2, 1234567890.1234567)
    rows = {row["name"]: row for row in map(json.loads, hold("ls", "/hold/me/tree", "--json").stdout.splitlines())}
    assert rows["link"]["target"] == "sub/large" and rows["empty"]["mode"] == "0711"
    assert b"all sound" in hold("verify").stdout


def test_a_file_takes_the_place_of_another_and_names_are_made_and_removed(hold: Hold, tmp_path: Path) -> None:
    hold("mkdir", "-p", "/hold/me/a/b")
    assert b"code: E-EXISTS" in hold("mkdir", "/hold/me/a", code=1).stderr
    hold("put", "-", "/hold/me/a/b/file", given=b"first")
    hold("put", "-", "/hold/me/a/b/file", given=b"second")
    assert hold("cat", "/hold/me/a/b/file").stdout == b"second"
    (tmp_path / "file").write_bytes(b"third")
    hold("put", "file", "/hold/me/a/b")
    assert hold("cat", "/hold/me/a/b/file").stdout == b"third" and hold("ls", "-n", "/hold/me/a/b").stdout == b"file\n"
    assert b"code: E-IS-A-DIRECTORY" in hold("rm", "/hold/me/a", code=1).stderr
    assert b"code: E-NOT-FOUND" in hold("put", "file", "/hold/me/none/file", code=1).stderr
    assert b"code: E-DENIED" in hold("ls", "/hold/somebody", code=12).stderr
    assert b"code: E-USAGE" in hold("rm", "-r", "/hold/me", code=2).stderr
    hold("rm", "-r", "/hold/me/a")
    assert hold("ls", "/hold/me").stdout == b""
    assert b"all sound" in hold("verify").stdout


def test_a_snapshot_is_what_was_and_comes_back(hold: Hold, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    hold("put", "tree", "/hold/me")
    capability = last(hold("snapshot", "/hold/me/tree", "--name", "one"))
    assert capability.startswith("holdr1")
    hold("get", capability, "-o", "elsewhere")
    assert set(seen(tmp_path / "elsewhere")) == set(seen(tmp_path / "tree"))
    plain = last(hold("snapshot", "/hold/me/tree", "--plain"))
    assert hold("cat", f"{plain}/small").stdout == b"small"
    hold("rm", "/hold/me/tree/link", "/hold/me/tree/sub/large")
    hold("put", "-", "/hold/me/tree/small", given=b"changed")
    done = hold("restore", "one")
    (before,) = [line.split()[-1] for line in done.stderr.decode().splitlines() if "what was there" in line]
    hold("get", "/hold/me/tree", "-o", "restored")
    assert seen(tmp_path / "restored") == seen(tmp_path / "tree")
    hold("restore", before, "small", "--to", "/hold/me/changed")
    assert hold("cat", "/hold/me/changed").stdout == b"changed"
    hold("restore", plain, "sub", "--to", "/hold/me/sub")
    assert hold("cat", "/hold/me/sub/same").stdout == b"small"
    assert b"all sound" in hold("verify").stdout


def test_a_plain_snapshot_of_small_files_is_what_an_add_makes(hold: Hold, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / ".sub").mkdir(parents=True)
    (tree / ".sub" / "file").write_bytes(b"content" * 10_000)
    (tree / "empty").write_bytes(b"")
    (tree / "link").symlink_to("empty")
    hold("put", "tree", "/hold/me")
    root = last(hold("snapshot", "/hold/me/tree", "--plain"))
    assert root == last(hold("add", "-r", "-Q", "-n", "--hidden", "--mode", "--mtime", "tree"))
    hold("export", root, "-o", "tree.car")


def test_history_lists_what_there_is_and_lets_it_go(hold: Hold) -> None:
    for number, content in enumerate((b"first", b"first", b"second")):
        hold("put", "-", "/hold/me/file", given=content)
        hold("put", "-", "/hold/me/other", given=b"%d" % number)
        hold("snapshot", "--name", f"s{number}")
    assert b"code: E-EXISTS" in hold("snapshot", "--name", "s1", code=1).stderr
    rows = [json.loads(line) for line in hold("history", "--json").stdout.splitlines()]
    assert [row["name"] for row in rows] == ["s0", "s1", "s2"] and rows[0]["path"] == "/hold/me"
    assert [line.split()[2] for line in hold("history", "/hold/me/other").stdout.splitlines()] == [b"s0", b"s1", b"s2"]
    assert hold("cat", f"{rows[0]['root']}/file").stdout == b"first"
    hold("history", "rm", "s0", "s1")
    hold("gc")
    assert b"code: E-NOT-FOUND" in hold("cat", f"{rows[0]['root']}/other", code=1).stderr
    assert hold("cat", f"{rows[2]['root']}/file").stdout == b"second"
    assert b"code: E-NOT-FOUND" in hold("history", "rm", "s0", code=1).stderr
    assert b"code: E-USAGE" in hold("restore", "s0", code=2).stderr
    hold("snapshot")
    hold("rm", "/hold/me/file", "/hold/me/other")
    hold("restore", "s2")
    assert hold("cat", "/hold/me/file").stdout == b"second" and hold("cat", "/hold/me/other").stdout == b"2"
    assert b"all sound" in hold("verify").stdout
