"""The command line as a program sees it: a process, its output, its exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commonhold.blockstore.holders import NOBODYS
from commonhold.blockstore.store import Store
from tests.cli.running import Hold as Run
from tests.cli.running import hold, last
from tests.waiting import SECONDS

__all__ = ["hold"]

HELLO = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"


OPENING = """import sys
from commonhold.cli.main import main
sys.addaudithook(lambda event, args: event == "open" and args[0] == sys.argv[-1] and print("opening", flush=True))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("words", [["import"], ["block", "put"]])
def test_a_pipe_without_a_writer_keeps_nobody_out(hold: Run, tmp_path: Path, words: list[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ["--repo", str(tmp_path / "repo"), *words, str(tmp_path / "pipe")]
    with subprocess.Popen([sys.executable, "-c", OPENING, *words], stdout=subprocess.PIPE) as waiting:
        try:
            assert waiting.stdout is not None and waiting.stdout.readline() == b"opening\n"
            hold("block", "put", given=b"hello world\n")
            archive = hold("export", HELLO).stdout
            (tmp_path / "pipe").write_bytes(archive if "import" in words else b"hello world\n")
            assert waiting.stdout.read().decode().split() == [HELLO]
        finally:
            waiting.kill()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "hello").write_text("hello world\n")
    (root / "empty").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(3_500_000))
    (root / "sub" / "é ü.txt").write_text("unicode")
    (root / "link").symlink_to("sub/é ü.txt")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "sub" / "none").mkdir()
    (root / ".hidden").write_text("h")
    return root


def test_a_tree_comes_back_byte_for_byte(hold: Run, tree: Path, tmp_path: Path) -> None:
    for profile in ("unixfs-v1-2025", "unixfs-v0-2015"):
        root = last(hold("add", "-r", "--hidden", "--profile", profile, "tree"))
        hold("get", root, "-o", f"back-{profile}")
        subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / f"back-{profile}"], check=True)


def test_the_last_line_is_the_root_and_quieter_has_nothing_else(hold: Run, tree: Path) -> None:
    assert last(hold("add", "tree/hello")) == HELLO
    done = hold("add", "-Q", "tree/hello")
    assert done.stdout.decode() == f"{HELLO}\n" and done.stderr == b""


def test_only_hash_needs_no_repository_and_stores_nothing(hold: Run, tree: Path) -> None:
    assert last(hold("add", "-n", "tree/hello", HOLD_REPO="/nonexistent")) == HELLO
    hold("cat", HELLO, code=1)


def test_standard_input_is_added_like_a_file(hold: Run, tree: Path) -> None:
    assert last(hold("add", "-", given=b"hello world\n")) == HELLO
    data = (tree / "large").read_bytes()
    assert last(hold("add", "-", given=data)) == last(hold("add", "tree/large"))


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
@pytest.mark.parametrize(
    "span", [(0, 10), (1_048_570, 20), (3_499_990, 100), (4_000_000, 5), (0, None), (262_140, 300_000)]
)
def test_cat_gives_any_range(hold: Run, tree: Path, span: tuple[int, int | None], profile: str) -> None:
    data = (tree / "large").read_bytes()
    root = last(hold("add", "--profile", profile, "tree/large"))
    start, length = span
    words = ["--offset", str(start)] + ([] if length is None else ["--length", str(length)])
    assert hold("cat", root, *words).stdout == data[start : None if length is None else start + length]


def test_hidden_names_and_holdignore_are_left_out(hold: Run, tree: Path) -> None:
    (tree / ".holdignore").write_text("*.txt\n!keep.txt\nnone/\n/large\n")
    (tree / "sub" / "keep.txt").write_text("k")
    root = last(hold("add", "-r", "tree"))
    names = hold("ls", "-n", root).stdout.decode().split()
    assert names == ["absolute", "empty", "hello", "link", "sub"]
    assert hold("ls", "-n", f"{root}/sub").stdout.decode().split() == ["deeper", "keep.txt"]


def test_special_files_are_skipped_and_said_so(hold: Run, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    done = hold("add", "-r", "tree")
    assert b"skipped tree/pipe: a pipe" in done.stderr


def test_a_name_that_is_not_utf8_is_an_error_that_names_it(hold: Run, tree: Path) -> None:
    Path(os.fsdecode(os.fsencode(tree) + b"/bad\xff")).write_bytes(b"")
    done = hold("add", "-r", "tree", code=1)
    assert b"bad\\xff" in done.stderr and b"not UTF-8" in done.stderr


def test_modes_and_times_come_back(hold: Run, tree: Path, tmp_path: Path) -> None:
    os.chmod(tree / "hello", 0o640)
    os.chmod(tree / "large", 0o751)
    os.utime(tree / "hello", ns=(1, 1_234_567_890_123_456_789))
    os.utime(tree / "sub", ns=(1, 77_000_000_005))
    root = last(hold("add", "-r", "--mode", "--mtime", "tree"))
    hold("get", root, "-o", "back")
    assert (tmp_path / "back/hello").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "back/large").stat().st_mode & 0o777 == 0o751
    assert (tmp_path / "back/hello").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (tmp_path / "back/sub").stat().st_mtime_ns == 77_000_000_005


def test_get_never_writes_over_anything(hold: Run, tree: Path) -> None:
    hold("add", "tree/hello")
    done = hold("get", HELLO, "-o", "tree/large", code=1)
    assert b"E-EXISTS" in done.stderr
    hold("get", HELLO, "-o", "tree/link", code=1)


ARCHIVES = pytest.mark.parametrize("words", [["export"], ["get", "--archive", "tar"]])


@ARCHIVES
def test_an_archive_that_fails_leaves_no_file(hold: Run, tree: Path, tmp_path: Path, words: list[str]) -> None:
    root = last(hold("add", "-r", "tree"))
    hold("pin", "rm", root)
    hold("block", "rm", HELLO)
    before = set(tmp_path.iterdir())
    assert b"E-NOT-FOUND" in hold(*words, root, "-o", "x", code=1).stderr
    assert set(tmp_path.iterdir()) == before


@ARCHIVES
def test_an_archive_is_never_written_over_anything(hold: Run, tree: Path, tmp_path: Path, words: list[str]) -> None:
    root = last(hold("add", "-r", "tree"))
    for there in ("tree/large", "tree/link", "tree/sub"):
        assert b"E-EXISTS" in hold(*words, root, "-o", there, code=1).stderr
    hold(*words, root, "-o", "x")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_no_name_for_the_output_is_an_error(hold: Run, tree: Path, tmp_path: Path) -> None:
    root = last(hold("add", "-r", "tree"))
    before = set(tmp_path.iterdir())
    for words in (["export"], ["get"], ["get", "--archive", "tar"]):
        assert b"E-USAGE" in hold(*words, root, "-o", "", code=2).stderr
    assert set(tmp_path.iterdir()) == before


def test_get_says_that_it_neither_merges_nor_overwrites(hold: Run) -> None:
    assert b"never merges into what exists and never overwrites it" in hold("get", "--help").stdout


def test_a_directory_without_r_says_what_to_do(hold: Run, tree: Path) -> None:
    done = hold("add", "tree", code=2)
    assert done.stderr.decode().splitlines() == [
        "error: add tree: is a directory",
        "try: hold add -r tree",
        "code: E-USAGE",
    ]


def test_pins_keep_and_gc_deletes_the_rest(hold: Run, tree: Path) -> None:
    hold("add", "tree/hello", "--name", "greeting")
    hold("add", "tree/large", "--name", "big")
    hold("pin", "rename", "greeting", "hi")
    hold("pin", "rm", "big")
    assert b"deleted 5 blocks" in hold("gc").stdout
    rows = [json.loads(line) for line in hold("pin", "ls", "--json").stdout.splitlines()]
    assert [(row["name"], row["cid"]) for row in rows] == [("hi", HELLO)]
    assert hold("cat", HELLO).stdout == b"hello world\n"


def test_an_archive_of_blocks_goes_out_and_in(hold: Run, tree: Path, tmp_path: Path) -> None:
    root = last(hold("add", "-r", "tree"))
    hold("export", root, "-o", "x.car")
    second = {"HOLD_REPO": str(tmp_path / "second")}
    hold("init", **second)
    assert last(hold("import", "x.car", **second)) == root
    hold("get", root, "-o", "back", **second)
    assert (tmp_path / "back/large").read_bytes() == (tree / "large").read_bytes()
    assert hold("export", root, **second).stdout == (tmp_path / "x.car").read_bytes()


@pytest.mark.parametrize(("at", "code"), [(-1, 16), (70, 1)])
def test_a_damaged_archive_is_refused(hold: Run, tree: Path, tmp_path: Path, at: int, code: int) -> None:
    root = last(hold("add", "tree/hello"))
    raw = bytearray(hold("export", root).stdout)
    raw[at] ^= 1
    raw = raw if code == 16 else raw[:at]
    done = hold("import", "-", given=bytes(raw), code=code)
    assert b"error: import standard input" in done.stderr


def test_an_archive_that_lacks_a_block_pins_nothing(hold: Run, tree: Path, tmp_path: Path) -> None:
    root = last(hold("add", "-r", "tree"))
    whole = hold("export", root).stdout
    second = {"HOLD_REPO": str(tmp_path / "second")}
    hold("init", **second)
    # The last section is a leaf: cut the archive cleanly before it.
    done = hold("import", "-", given=_without_last_section(whole), code=1, **second)
    assert b"incomplete" in done.stderr
    assert hold("pin", "ls", **second).stdout == b""


def test_an_archive_without_roots_says_that_nothing_is_pinned(hold: Run, tree: Path) -> None:
    from commonhold.formats import varint

    hold("add", "tree/hello")
    header = b"\xa2eroots\x80gversion\x01"
    section = hold("export", HELLO).stdout[1 + 58 :]
    done = hold("import", "-", given=varint.encode(len(header)) + header + section)
    assert done.stdout == b"" and b"names no root" in done.stderr
    assert json.loads(hold("import", "-", "--json", given=varint.encode(len(header)) + header).stdout)["roots"] == []


def _without_last_section(raw: bytes) -> bytes:
    from commonhold.formats import varint

    at, before = 0, 0
    while at < len(raw):
        before = at
        length, at = varint.decode(raw, at)
        at += length
    return raw[:before]


def test_a_tar_has_the_tree(hold: Run, tree: Path, tmp_path: Path) -> None:
    root = last(hold("add", "-r", "--hidden", "tree"))
    hold("get", root, "--archive", "tar", "-o", "x.tar")
    subprocess.run(["tar", "xf", "x.tar"], cwd=tmp_path, check=True)
    subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / root], check=True)


def test_blocks_one_by_one(hold: Run) -> None:
    cid = last(hold("block", "put", given=b"hello world\n"))
    assert cid == HELLO
    assert hold("block", "get", cid).stdout == b"hello world\n"
    assert json.loads(hold("block", "stat", cid, "--json").stdout) == {"cid": cid, "size": 12}
    hold("block", "rm", cid)
    assert b"E-NOT-FOUND" in hold("block", "get", cid, code=1).stderr
    hold("block", "put", given=bytes((2 << 20) + 1), code=1)
    hold("block", "put", "--codec", "dag-pb", given=b"\xff", code=1)
    hold("block", "put", "--hash", "md5", given=b"", code=1)


def test_a_pinned_block_is_not_removed(hold: Run, tree: Path) -> None:
    hold("add", "tree/hello", "--name", "mine")
    done = hold("block", "rm", HELLO, code=1)
    assert b"'mine'" in done.stderr and b"hold pin rm mine" in done.stderr


def test_dag_nodes_are_shown_as_dag_json(hold: Run, tree: Path) -> None:
    root = last(hold("add", "-r", "tree"))
    node = json.loads(hold("dag", "get", root).stdout)
    assert [link["Name"] for link in node["Links"]][:2] == ["absolute", "empty"]
    assert json.loads(hold("dag", "get", f"{root}/hello").stdout)["/"]["bytes"]
    inner = last(hold("block", "put", "--codec", "dag-cbor", given=b"\xa1aa\x82\x01\x02"))
    assert hold("dag", "get", f"{inner}/a/1").stdout == b"2\n"


def test_cids_are_converted_without_a_repository(hold: Run) -> None:
    v0 = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
    v1 = last(hold("cid", "format", "-v", "1", v0, HOLD_REPO="/nonexistent"))
    assert last(hold("cid", "format", "-v", "0", v1)) == v0
    assert last(hold("cid", "format", "-b", "base36", v0)).startswith("k")
    hold("cid", "format", "nonsense", code=2)


def test_another_process_is_told_who_has_the_repository(hold: Run, tmp_path: Path) -> None:
    from commonhold.host.repository import Lock

    lock = Lock(tmp_path / "repo", "add something")
    done = hold("ls", HELLO, code=1)
    assert b"in use by process" in done.stderr and b"hold add something" in done.stderr
    lock.release()


def test_no_repository_has_its_own_exit_code(hold: Run, tmp_path: Path) -> None:
    done = hold("pin", "ls", code=10, HOLD_REPO=str(tmp_path / "nowhere"))
    assert b"E-NO-REPOSITORY" in done.stderr


def test_a_repository_above_the_working_directory_is_found(hold: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "deep").mkdir(parents=True)
    hold("init", "--here", cwd=tmp_path / "work")
    row = json.loads(hold("status", "--json", cwd=tmp_path / "work" / "deep", HOLD_REPO=None).stdout)
    assert row["repository"] == str(tmp_path / "work" / ".hold") and "single user" in row["isolation"]


@pytest.mark.root
def test_a_strangers_repository_above_is_passed_over(hold: Run, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    (tmp_path / "work").mkdir()
    hold("init", "--here", cwd=tmp_path / "work")
    os.chown(tmp_path / "work" / ".hold", 12345, 12345)
    done = hold("pin", "ls", cwd=tmp_path / "work", HOLD_REPO=None, code=10)
    assert b"owned by uid 12345" in done.stderr


@pytest.mark.parametrize(
    "words", [["nonsense"], ["add"], ["cat", HELLO, "--offset", "-1"], ["get", f"{HELLO}/../x"], ["cat", "x"]]
)
def test_wrong_words_are_a_usage_error_with_a_hint(hold: Run, words: list[str]) -> None:
    assert b"code: E-USAGE" in hold(*words, code=2).stderr


def test_errors_as_json(hold: Run) -> None:
    row = json.loads(hold("cat", HELLO, "--json", code=1).stderr)
    assert row["code"] == "E-NOT-FOUND" and row["exit"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--repo", "", "pin", "ls"],
        ["pin", "ls", "--repo="],
        ["init", "--repo", ""],
        ["status", "--repo", ""],
        ["get", HELLO, "-o", ""],
        ["get", HELLO, "--archive", "tar", "-o", ""],
        ["export", HELLO, "-o", ""],
        ["add", "hello", "--name", ""],
        ["init", "--here", "--repo", "elsewhere"],
    ],
)
def test_an_empty_name_is_not_taken_for_none(hold: Run, words: list[str]) -> None:
    told = hold(*words, code=2).stderr
    assert b"try: " in told and b"code: E-USAGE" in told


@pytest.mark.parametrize("words", [["pin", "ls"], ["init"], ["status"]])
def test_an_empty_variable_is_not_taken_for_none(hold: Run, words: list[str]) -> None:
    assert b"try: unset HOLD_REPO\ncode: E-USAGE" in hold(*words, HOLD_REPO="", code=2).stderr


@pytest.mark.parametrize("words", [["cat", HELLO, "--off", "1"], ["--js", "pin", "ls"], ["pin", "ls", "--js"]])
def test_options_have_whole_names(hold: Run, words: list[str]) -> None:
    assert b"code: E-USAGE" in hold(*words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "code", "is_json"),
    [
        (["pin", "rm", "--json", "x"], 1, True),
        (["--json", "pin", "rm", "x"], 1, True),
        (["pin", "rm", "--", "--json"], 1, False),
        (["pin", "add", "--name", "x", "--json"], 2, True),
        (["nonsense", "--json"], 2, True),
        (["nonsense", "--", "--json"], 2, False),
    ],
)
def test_an_error_is_json_where_that_was_asked_for(hold: Run, words: list[str], code: int, is_json: bool) -> None:
    told = hold(*words, code=code).stderr
    assert told.startswith(b"{" if is_json else b"error: ")


def test_every_command_has_help_and_completion(hold: Run) -> None:
    from commonhold.cli.main import COMMANDS

    for name in COMMANDS:
        assert b"exit codes" in hold(name, "--help").stdout
    for shell in ("bash", "zsh", "fish"):
        script = hold("completion", shell).stdout
        assert b"verify" in script
    subprocess.run(["bash", "-n"], input=hold("completion", "bash").stdout, check=True)


def test_reuse_gives_the_same_root_and_sees_changes(hold: Run, tree: Path) -> None:
    time.sleep(0.1)
    first = last(hold("add", "-r", "tree"))
    assert last(hold("add", "-r", "--reuse", "tree")) == first
    (tree / "hello").write_text("changed\n")
    second = last(hold("add", "-r", "--reuse", "tree"))
    assert second == last(hold("add", "-r", "tree")) != first
    hold("pin", "rm", first, second)
    hold("gc")
    assert last(hold("add", "-r", "--reuse", "tree")) == second
    assert hold("cat", f"{second}/hello").stdout == b"changed\n"


def test_an_index_of_rubbish_is_made_anew_at_once(hold: Run, tree: Path, tmp_path: Path) -> None:
    hold("add", "-r", "tree")
    index = tmp_path / "repo" / "index" / "data.mdb"
    pages = bytearray(index.read_bytes())
    for at in range(2 * 4096, len(pages), 4096):  # every page but the two that say where the rest is
        pages[at + 16 : at + 4096] = bytes(4080)
    index.write_bytes(pages)
    done = hold("verify")
    assert b"made the index anew" in done.stderr and b"all sound" in done.stdout


def test_an_index_that_lies_is_found_and_made_anew(hold: Run, tree: Path, tmp_path: Path) -> None:
    hold("add", "-r", "tree")
    with Store(tmp_path / "repo") as store, store.index.write() as txn:
        store.index.add_refs(txn, [next(iter(store.keys()))], 1, NOBODYS)
    assert b"counts of references" in hold("verify", code=16).stdout
    done = hold("verify", "--rebuild-index")
    assert b"made the index anew" in done.stderr and b"all sound" in done.stdout
    assert b"all sound" in hold("verify").stdout


def test_the_repository_is_left_out_of_a_tree_it_lies_in(hold: Run, tree: Path, tmp_path: Path) -> None:
    inside = {"HOLD_REPO": str(tree / "sub/.hold")}
    before = last(hold("add", "-r", "--hidden", "tree"))
    hold("init", **inside)
    time.sleep(0.1)
    for words, said in (((), 1), (("--only-hash",), 1), (("--reuse",), 0)):
        done = hold("add", "-r", "--hidden", *words, "tree", **inside)
        assert last(done) == before
        assert done.stderr.count(b"skipped tree/sub/.hold: the repository itself\n") == said
    assert b"is the repository itself" in hold("add", "-r", "tree/sub/.hold", code=2, **inside).stderr


def test_an_add_goes_on_without_its_notes(hold: Run, tree: Path, tmp_path: Path) -> None:
    root = last(hold("add", "-r", "tree"))
    notes = tmp_path / "repo/reuse.sqlite"
    notes.unlink()
    notes.mkdir()
    for words in ((), ("--reuse",)):
        done = hold("add", "-r", *words, "tree")
        assert last(done) == root and done.stderr.count(b"repo/reuse.sqlite cannot be used") == 1


def test_a_file_from_the_far_future_is_added(hold: Run, tree: Path) -> None:
    os.utime(tree / "hello", (2**34 - 1e6, 2**34 - 1e6))
    assert last(hold("add", "-r", "tree")) == last(hold("add", "-r", "--reuse", "tree"))


def test_a_name_that_is_not_utf8_is_written_and_printed(hold: Run, tree: Path, tmp_path: Path) -> None:
    hold("add", "tree/hello")
    for words in (["get"], ["get", "--json"], ["get", "--archive", "tar"], ["export"], ["export", "--json"]):
        name = os.fsdecode(b"out\xff\n" + "-".join(words).encode())
        shown = rb"out\\xff\\n" if "--json" in words else rb"out\xff\n"
        assert shown in hold(*words, HELLO, "-o", name).stdout and (tmp_path / name).exists()
        assert shown in hold(*words, HELLO, "-o", name, code=1).stderr


def test_one_is_said_as_one(hold: Run, tree: Path, tmp_path: Path) -> None:
    said = [hold("add", "tree/hello").stderr, hold("export", HELLO, "-o", "x.car").stdout, hold("export", HELLO).stderr]
    said += [hold("import", "x.car").stderr, hold("dag", "stat", HELLO).stdout, hold("pin", "ls").stdout]
    said.append(hold("verify").stdout)
    hold("pin", "rm", HELLO)
    said.append(hold("gc").stdout)
    assert [b"1 file or directory," in said[0], *(b"1 block" in text for text in said[1:])] == [True] * len(said)
    assert not any(b"1 blocks" in text for text in said)


@pytest.mark.parametrize("words", ["add -", "block put -", "import -"])
def test_without_standard_input_nothing_is_read(hold: Run, tmp_path: Path, words: str) -> None:
    assert shell(f"hold {words} 2>&1 <&-", tmp_path)[0].splitlines()[-1] == "code: E-FAILED"


def test_without_standard_error_all_else_works(hold: Run, tree: Path, tmp_path: Path) -> None:
    said, code = shell("hold add tree/hello 2>&-", tmp_path)
    assert said.splitlines()[-1] == HELLO and code == 0
    assert shell("hold cat tree/hello 2>&-", tmp_path) == ("", 2)


def shell(words: str, cwd: Path) -> tuple[str, int]:
    """What a shell says to a command line with `hold` in it."""
    script = f'hold() {{ "{sys.executable}" -m tests.cli.hold --repo "{cwd}/repo" "$@"; }}; {words}'
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["bash", "-c", script], cwd=cwd, env=environment, capture_output=True, check=False)
    assert done.stderr == b""
    return done.stdout.decode(), done.returncode


def test_a_link_is_shown_without_its_control_characters(hold: Run, tree: Path) -> None:
    (tree / "odd").symlink_to("\x1b[2J\n")
    root = last(hold("add", "-r", "tree"))
    for words in (["ls", root], ["stat", f"{root}/odd"]):
        said = hold(*words).stdout
        assert b"\\x1b[2J\\n" in said and b"\x1b" not in said


def test_a_tree_deeper_than_the_usual_limit_of_open_files_goes_in_and_out(hold: Run, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / Path(*["d"] * 200)).mkdir(parents=True)
    said, code = shell("ulimit -Sn 128; root=$(hold add -Qr tree 2>&1) && hold get $root -o out 2>&1", tmp_path)
    assert (said, code) == ("out\n", 0)
    assert (tmp_path / "out" / Path(*["d"] * 200)).is_dir()


@pytest.mark.parametrize("nohup", [[], ["nohup"]])
def test_a_terminal_that_closes_is_an_interruption_unless_that_is_ignored(
    hold: Run, tmp_path: Path, nohup: list[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ["--repo", str(tmp_path / "repo"), "block", "put", str(tmp_path / "pipe")]
    with subprocess.Popen([*nohup, sys.executable, "-c", OPENING, *words], stdout=subprocess.PIPE) as waiting:
        try:
            assert waiting.stdout is not None and waiting.stdout.readline() == b"opening\n"
            waiting.send_signal(signal.SIGHUP)
            if nohup:
                (tmp_path / "pipe").write_bytes(b"hello world\n")
                assert waiting.stdout.read().decode().split() == [HELLO]
            assert waiting.wait(SECONDS) == (0 if nohup else 129)
        finally:
            waiting.kill()
