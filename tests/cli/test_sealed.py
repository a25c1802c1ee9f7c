"""Sealed trees on the command line: the last line of an add opens what was added, and nothing else does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Hold as Run
from tests.cli.running import environment, hold, last
from tests.cli.test_commands import tree

__all__ = ["hold", "tree"]


def others(hold: Run, capability: str) -> tuple[str, str]:
    """The sealed root's CID, and the verify capability."""
    from commonhold.formats import capability as capabilities
    from commonhold.formats.capability import ReadCapability
    from commonhold.sealing.seal import verify_capability

    read = capabilities.parse_text(capability)
    assert isinstance(read, ReadCapability)
    return str(read.cid), str(verify_capability(read))


def link_of(capability: str) -> str:
    """A link to the same, of a grid that nobody has joined."""
    from commonhold.formats import capability as capabilities
    from commonhold.formats.link import Link
    from commonhold.formats.pin import GridId

    read = capabilities.parse_text(capability)
    assert isinstance(read, capabilities.ReadCapability)
    return str(Link(GridId(bytes(32)), read))


@pytest.mark.parametrize(
    "words", [[], ["--profile", "unixfs-v0-2015"], ["--chunker", "cdc-1024-4096-65536"], ["--mtime"]]
)
def test_a_sealed_tree_comes_back_byte_for_byte(hold: Run, tree: Path, tmp_path: Path, words: list[str]) -> None:
    capability = last(hold("add", "-r", "--hidden", "--sealed", *words, "tree"))
    assert capability.startswith("holdr1")
    hold("get", capability, "-o", "back")
    subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / "back"], check=True)
    hold("get", capability, "--archive", "tar", "-o", "x.tar")
    hold("get", f"{capability}/sub/é ü.txt")
    assert (tmp_path / "é ü.txt").read_text() == "unicode"


def test_it_is_read_like_a_plain_one(hold: Run, tree: Path) -> None:
    plain, sealed = last(hold("add", "-r", "tree")), last(hold("add", "-r", "--sealed", "tree"))
    for words in (["ls"], ["ls", "-n"], ["stat"]):
        assert hold(*words, sealed).stdout == hold(*words, plain).stdout
    for path in ("hello", "large", "empty"):
        assert hold("cat", f"{sealed}/{path}").stdout == (tree / path).read_bytes()
        assert hold("stat", f"{sealed}/{path}").stdout == hold("stat", f"{plain}/{path}").stdout
    part = hold("cat", f"{sealed}/large", "--offset", "1048570", "--length", "20").stdout
    assert part == (tree / "large").read_bytes()[1048570:1048590]


def test_standard_input_and_single_files_are_sealed(hold: Run, tree: Path) -> None:
    data = (tree / "large").read_bytes()
    piped = last(hold("add", "--sealed", "-", given=data))
    assert piped == last(hold("add", "--sealed", "tree/large"))
    assert hold("cat", piped).stdout == data
    several = hold("add", "--sealed", "-Q", "tree/hello", "tree/empty").stdout.decode().split()
    assert [hold("cat", one).stdout for one in several] == [b"hello world\n", b""]
    wrapped = last(hold("add", "--sealed", "-w", "tree/hello", "tree/empty"))
    assert hold("ls", "-n", wrapped).stdout == b"empty\nhello\n"


def test_only_hash_says_the_same_capability_and_stores_nothing(hold: Run, tree: Path) -> None:
    said = last(hold("add", "-r", "-n", "--sealed", "tree"))
    assert json.loads(hold("repo", "stat", "--json").stdout)["blocks"] == 0
    assert said == last(hold("add", "-r", "--sealed", "tree"))


def test_two_repositories_share_no_block_and_one_none_twice(hold: Run, tree: Path, tmp_path: Path) -> None:
    second = {"HOLD_REPO": str(tmp_path / "second")}
    hold("init", **second)
    first = last(hold("add", "-r", "--sealed", "tree"))
    assert first == last(hold("add", "-r", "--sealed", "tree", "--name", "again"))
    assert first != last(hold("add", "-r", "--sealed", "tree", **second))
    keys = [
        set(hold("pin", "ls", last(pins).split()[-1], **at).stdout.split())
        for at in ({}, second)
        for pins in [hold("pin", "ls", **at)]
    ]
    assert keys[0] and keys[1] and not keys[0] & keys[1]


def test_a_capability_is_never_in_a_pins_name_or_the_repository(hold: Run, tree: Path, tmp_path: Path) -> None:
    capability = last(hold("add", "-r", "--sealed", "tree"))
    root, _ = others(hold, capability)
    pins = hold("pin", "ls", "--json").stdout
    assert json.loads(pins)["name"] == json.loads(pins)["cid"] == root and b"holdr1" not in pins
    for path in (tmp_path / "repo").rglob("*"):
        if path.is_file():
            stored = path.read_bytes()
            assert b"holdr1" not in stored and b"unicode" not in stored and "é ü.txt".encode() not in stored


def test_json_gives_the_capability_beside_the_sealed_cid(hold: Run, tree: Path) -> None:
    rows = [json.loads(line) for line in hold("add", "-r", "-v", "--sealed", "--json", "tree").stdout.splitlines()]
    root, _ = others(hold, rows[-1]["capability"])
    assert rows[-1]["cid"] == root and all("cid" not in row for row in rows[:-1])


def test_a_plain_cid_of_a_sealed_block_gives_its_bytes_as_they_are(hold: Run, tree: Path) -> None:
    capability = last(hold("add", "--sealed", "tree/hello"))
    root, _ = others(hold, capability)
    raw = hold("cat", root).stdout
    assert len(raw) == 352 and b"hello" not in raw


def test_the_verify_capability_keeps_and_counts_but_reads_nothing(hold: Run, tree: Path, tmp_path: Path) -> None:
    capability = last(hold("add", "-r", "--sealed", "tree"))
    root, verify = others(hold, capability)
    for words in (["cat"], ["ls"], ["stat"], ["get"]):
        assert b"E-DENIED" in hold(*words, verify, code=12).stderr
    assert hold("dag", "stat", verify).stdout == hold("dag", "stat", capability).stdout
    hold("pin", "add", verify, "--name", "kept")
    hold("pin", "rm", root)
    hold("gc")
    hold("get", capability, "-o", "back")
    subprocess.run(["diff", "-r", "--exclude=.hidden", "--no-dereference", tree, tmp_path / "back"], check=True)
    hold("pin", "rm", "kept")
    hold("gc")
    assert b"E-NOT-FOUND" in hold("pin", "add", verify, code=1).stderr
    assert b"E-NOT-FOUND" in hold("ls", capability, code=1).stderr


def test_a_part_of_a_sealed_tree_is_pinned_by_its_path(hold: Run, tree: Path) -> None:
    capability = last(hold("add", "-r", "--sealed", "tree"))
    root, _ = others(hold, capability)
    hold("pin", "add", f"{capability}/sub", "--name", "part")
    hold("pin", "rm", root)
    hold("gc")
    assert b"E-NOT-FOUND" in hold("ls", capability, code=1).stderr
    assert json.loads(hold("pin", "ls", "--json").stdout)["blocks"] == 4  # sub, é ü.txt, deeper and none: both empty


def test_chunks_too_large_to_seal_are_refused_before_anything_is_read(hold: Run, tree: Path) -> None:
    done = hold("add", "--sealed", "--chunker", "size-2097088", "tree/hello", code=1)
    assert b"E-TOO-LARGE" in done.stderr and b"try: --chunker size-1048576" in done.stderr
    hold("add", "--sealed", "--chunker", "cdc-1048576-1048576-2097088", "tree/hello", code=1)
    last(hold("add", "--sealed", "--chunker", "size-1835008", "tree/large"))


def test_a_key_that_others_can_read_stops_a_sealed_add(hold: Run, tree: Path, tmp_path: Path) -> None:
    hold("add", "--sealed", "tree/hello")
    os.chmod(tmp_path / "repo/keys/sealing", 0o644)
    done = hold("add", "--sealed", "tree/hello", code=12)
    assert b"E-DENIED" in done.stderr and b"try: chmod 600 " in done.stderr
    hold("add", "tree/hello")


def test_a_mistyped_capability_is_a_usage_error_that_shows_no_key(hold: Run, tree: Path) -> None:
    capability = last(hold("add", "--sealed", "tree/hello"))
    wrong = capability[:60] + ("a" if capability[60] != "a" else "b") + capability[61:]
    done = hold("cat", wrong, code=2)
    assert b"checksum" in done.stderr and capability[70:].encode() not in done.stderr
    assert b"E-USAGE" in hold("cat", f"{capability}/../x", code=2).stderr


def test_reuse_does_not_mix_sealed_and_plain(hold: Run, tree: Path) -> None:
    import time

    time.sleep(0.1)
    plain, sealed = last(hold("add", "-r", "tree")), last(hold("add", "-r", "--sealed", "tree"))
    assert last(hold("add", "-r", "--reuse", "--sealed", "tree")) == sealed
    assert last(hold("add", "-r", "--reuse", "tree")) == plain


def test_damage_to_a_sealed_block_is_an_error_and_nothing_wrong_comes_out(
    hold: Run, tree: Path, tmp_path: Path
) -> None:
    capability = last(hold("add", "--sealed", "tree/large"))
    segment = next((tmp_path / "repo/segments").iterdir())
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.write_bytes(raw)
    assert b"E-CORRUPT" in hold("get", capability, "-o", "back", code=16).stderr
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("kind", ["holdr1", "holdl1"])
def test_who_finds_the_repository_in_use_is_not_told_the_capability(hold: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(bytes(8 << 20))
    capability = last(hold("add", "-r", "-Q", "--sealed", "tree"))
    if kind == "holdl1":
        capability = link_of(capability)
    words = [sys.executable, "-m", "tests.cli.hold", "--repo", str(tmp_path / "repo"), "cat", f"{capability}/large"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as reading:  # nobody reads on: it keeps the repository
        assert reading.stdout is not None and reading.stdout.read(1) == b"\0"
        said = hold("pin", "ls", code=1).stderr
        reading.kill()
    assert b"hold --repo" in said and f" cat {kind}".encode() in said and capability[80:110].encode() not in said


@pytest.mark.parametrize("words", [["version"], ["add", "-n", "tree/hello"], ["pin", "ls"]])
def test_who_does_not_seal_does_not_wait_for_the_cipher(hold: Run, tree: Path, words: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tests.cli.hold", *words]
    home = tree.parent
    imported = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, check=True).stderr
    assert b"commonhold.cli.main" in imported and b"cryptography" not in imported
