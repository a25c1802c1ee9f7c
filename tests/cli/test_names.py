"""Keys and names on the command line: who has the key says where a name points, and no key is ever shown."""

import base64
import json
import os
from pathlib import Path

import pytest

from tests import vectors
from tests.cli.running import Hold as Run
from tests.cli.running import hold, last
from tests.cli.test_commands import HELLO, tree
from tests.cli.test_sealed import others

__all__ = ["hold", "tree"]

PUBLISHED = {case["name"]: case for case in vectors.cases("ipns-published")}


def test_what_is_published_is_read_by_its_name(hold: Run, tree: Path, tmp_path: Path) -> None:
    first, second = last(hold("add", "tree/hello")), last(hold("add", "-r", "tree"))
    name = last(hold("key", "new", "blog"))
    assert last(hold("name", "publish", first)) == name
    assert hold("cat", f"/ipns/{name}").stdout == b"hello world\n"
    hold("name", "publish", f"{second}/sub")
    assert last(hold("name", "resolve", name)) == f"/ipfs/{second}/sub"
    assert last(hold("name", "resolve", f"/ipns/{name}/deeper")) == f"/ipfs/{second}/sub/deeper"
    path = f"/ipns/{name}/é ü.txt"
    assert hold("cat", path).stdout == hold("cat", f"ipns://{name}/é ü.txt").stdout == b"unicode"
    hold("get", path)
    assert (tmp_path / "é ü.txt").read_text() == "unicode"
    for words in (["ls"], ["stat"], ["dag", "stat"]):
        assert hold(*words, f"/ipns/{name}").stdout == hold(*words, f"{second}/sub").stdout
    assert hold("export", f"/ipns/{name}").stdout == hold("export", f"{second}/sub").stdout
    hold("name", "publish", second)
    assert hold("dag", "get", f"/ipns/{name}/hello").stdout == hold("dag", "get", f"{second}/hello").stdout
    hold("pin", "add", f"/ipns/{name}", "--name", "kept")
    assert json.loads(hold("pin", "ls", "--json").stdout.splitlines()[-1])["cid"] == second


def test_a_name_without_its_path_is_told_apart_from_a_cid(hold: Run) -> None:
    name = last(hold("key", "new", "blog"))
    assert f"a name is written /ipns/{name}" in hold("cat", name, code=2).stderr.decode()
    hold("block", "get", f"/ipns/{name}", code=2)
    assert b"E-NOT-FOUND" in hold("cat", f"/ipns/{name}", code=1).stderr


def test_what_was_published_is_listed_and_can_be_taken_back(hold: Run) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    names = {label: last(hold("key", "new", label)) for label in ("a", "b")}
    for label in names:
        hold("name", "publish", root, "--key", label)
    listed = [json.loads(line) for line in hold("name", "ls", "--json").stdout.splitlines()]
    assert {(one["name"], one["key"]) for one in listed} == {(name, label) for label, name in names.items()}
    assert all(one["value"] == f"/ipfs/{root}" and not one["expired"] for one in listed)
    hold("key", "rm", "a")
    assert f"{names['a']} - until".encode() in hold("name", "ls").stdout
    hold("name", "rm", names["a"])
    assert last(hold("name", "ls")).startswith(names["b"]) and len(hold("name", "ls").stdout.splitlines()) == 1
    assert b"E-NOT-FOUND" in hold("name", "resolve", names["a"], code=1).stderr
    assert b"try: hold name ls" in hold("name", "rm", names["a"], code=1).stderr
    assert hold("cat", f"/ipns/{names['b']}").stdout == b"content"


def test_several_keys_publish_each_its_own(hold: Run) -> None:
    names = {label: last(hold("key", "new", label)) for label in ("a", "b")}
    assert "there are several: a, b" in hold("name", "publish", HELLO, code=2).stderr.decode()
    said = hold("name", "publish", HELLO, "--key", "b")
    assert last(said) == names["b"] and b"cannot be read here" in said.stderr
    hold("name", "resolve", names["a"], code=1)
    listed = hold("key", "ls").stdout.decode().split("\n")
    assert listed == [f"{names['a']} a", f"{names['b']} b", ""]


def test_a_key_moves_to_another_repository_and_counts_on_there(hold: Run, tmp_path: Path) -> None:
    second = {"HOLD_REPO": str(tmp_path / "second")}
    hold("init", **second)
    name = last(hold("key", "new", "blog"))
    hold("key", "rename", "blog", "diary")
    hold("key", "export", "diary", "out.pem")
    hold("key", "export", "diary", "out.pem", code=1)
    assert (tmp_path / "out.pem").stat().st_mode & 0o777 == 0o600
    hold("key", "rm", "diary")
    assert hold("key", "ls").stdout == b""
    assert last(hold("key", "import", "blog", "out.pem", **second)) == name
    assert last(hold("name", "publish", HELLO, **second)) == name
    again = hold("name", "publish", HELLO, "--lifetime", "1s", "--ttl", "5m", "--json", **second)
    row = json.loads(again.stdout)
    assert (row["name"], row["key"], row["value"], row["sequence"]) == (name, "blog", f"/ipfs/{HELLO}", 1)


@pytest.mark.parametrize("verb", ["export", "import"])
def test_a_key_goes_through_no_terminal_or_pipe(hold: Run, verb: str) -> None:
    hold("key", "new", "a")
    assert hold("key", verb, "a", "-", code=2).stdout == b""


def test_no_key_is_shown(hold: Run, tmp_path: Path) -> None:
    hold("key", "new", "a")
    pem = (tmp_path / "repo/keys/a.pem").read_bytes()
    seed = base64.b64decode(pem.splitlines()[1])[-32:]
    (tmp_path / "repo/keys/b.pem").write_bytes(pem.replace(b"KEY-----", b"KEY----", 1))
    (tmp_path / "repo/keys/b.pem").chmod(0o600)
    said = b""
    for code, words in (
        (16, ["key", "ls"]), (1, ["key", "import", "c", "repo/keys/b.pem"]), (0, ["key", "export", "a", "x"]),
        (0, ["name", "publish", HELLO, "--key", "a"]), (16, ["name", "publish", HELLO, "--key", "b"]),
        (0, ["key", "rename", "a", "c"]), (0, ["key", "rm", "b"]), (0, ["key", "ls"]),
    ):  # fmt: skip
        for more in ([], ["--json"]) if words[-1] == "ls" or code else ([],):
            done = hold(*words, *more, code=code)
            said += done.stdout + done.stderr
    for shown in (seed, seed.hex().encode(), base64.b64encode(seed)[:20], pem.splitlines()[1][-40:]):
        assert shown not in said


@pytest.mark.parametrize(
    "words", [["name", "publish"], ["export"], ["block", "get"], ["dag", "get"], ["name", "resolve"]]
)
def test_a_capability_in_the_wrong_place_is_not_repeated(hold: Run, tree: Path, words: list[str]) -> None:
    hold("key", "new", "a")
    capability = last(hold("add", "--sealed", "tree/hello"))
    for secret in (capability, others(hold, capability)[1]):
        for text in (secret, f"/ipfs/{secret}", f"{secret}/a"):
            done = hold(*words, text, code=2)
            assert secret[10:60].encode() not in done.stderr + done.stdout


def test_a_sealed_tree_is_published_by_its_cid_and_still_needs_its_capability(hold: Run, tree: Path) -> None:
    capability = last(hold("add", "--sealed", "tree/hello"))
    name = last(hold("key", "new", "a"))
    hold("name", "publish", others(hold, capability)[0])
    assert b"hello" not in hold("cat", f"/ipns/{name}").stdout
    assert hold("cat", capability).stdout == b"hello world\n"


def test_inspect_says_what_a_record_says_and_whether_to_believe_it(hold: Run, tmp_path: Path) -> None:
    good, broken = PUBLISHED["v2"], PUBLISHED["v1-v2-broken-v1-value"]
    for case in (good, broken):
        (tmp_path / case["name"]).write_bytes(base64.b64decode(case["record"]))
    row = json.loads(hold("name", "inspect", "v2", "--name", good["of"], "--json").stdout)
    assert (row["value"], row["valid"], row["signed"], row["versions"]) == (good["value"], True, True, "2")
    assert row["ttl_seconds"] == 1800 and row["other"] == [] and row["bytes"] == 188
    assert json.loads(hold("name", "inspect", "v2", "--json").stdout)["valid"] is None
    assert not json.loads(hold("name", "inspect", "v2", "--name", broken["of"], "--json", code=1).stdout)["signed"]
    assert b"E-INVALID" in hold("name", "inspect", broken["name"], code=1).stderr
    hold("name", "inspect", "none", code=1)


def test_a_name_whose_record_is_here_is_inspected_too(hold: Run) -> None:
    name = last(hold("key", "new", "a"))
    hold("name", "inspect", name, code=1)
    hold("name", "publish", HELLO)
    assert json.loads(hold("name", "inspect", name, "--json").stdout)["valid"] is True
    assert "valid:       yes" in hold("name", "inspect", f"/ipns/{name}").stdout.decode()


@pytest.mark.parametrize("text", ["", "h", "0s", "-1s", "1.5h", "5", "5w", "4000000000d", "١s"])
def test_what_is_no_length_of_time_is_refused(hold: Run, text: str) -> None:
    assert b"is not a length of time" in hold("name", "publish", HELLO, f"--ttl={text}", code=2).stderr


def test_keys_that_others_can_read_are_refused(hold: Run, tmp_path: Path) -> None:
    hold("key", "new", "a")
    os.chmod(tmp_path / "repo/keys/a.pem", 0o644)
    said = hold("name", "publish", HELLO, code=12).stderr.decode()
    assert f"try: chmod 600 {tmp_path}/repo/keys/a.pem" in said
    hold("key", "ls", code=12)


def test_keys_need_a_repository(hold: Run) -> None:
    hold("key", "new", "a", HOLD_REPO="/nonexistent", code=10)
