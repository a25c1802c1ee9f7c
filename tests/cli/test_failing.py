"""Whatever ends a command, the user gets an error in the one form and an exit code, never a traceback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commonhold.cli.failing import Interrupted, translated
from commonhold.errors import Kind
from tests.cli.shell import Shell, shell
from tests.waiting import SECONDS

__all__ = ["shell"]

HELLO = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
_ADD = "hold init --quiet >/dev/null && echo 'hello world' >hello && hold add -Q hello >/dev/null"
_NUMBERS = "hold block put --codec dag-cbor < <(printf '\\x82\\x01\\x02') >cid"
_MANY = "hold init && mkdir many && for i in {1..5000}; do echo $i >many/$i; done && hold add -Q -r many >root"


@pytest.mark.parametrize(
    "words",
    [
        "add hello", f"cat {HELLO}", f"ls {HELLO}", f"export {HELLO}", f"get {HELLO} --archive tar -o -",
        f"block get {HELLO}", f"dag get {HELLO}", "pin ls", "status", "--help", "add --help", "version",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_an_output_that_takes_nothing_is_an_error(shell: Shell, words: str, where: str) -> None:
    done = shell(f"hold {words} {where}", code=1, after=_ADD)
    assert b"error: write standard output: " in done.stderr and b"code: E-" in done.stderr


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "<&-", "<&- 2>&-"])
def test_a_command_does_its_work_where_remarks_cannot_be_told(shell: Shell, where: str) -> None:
    assert shell(f"hold add -Q hello {where} && hold verify", after=_ADD).stdout.splitlines()[0] == HELLO.encode()
    shell(f"hold nonsense {where}", code=2)


def test_no_file_of_the_repository_takes_the_place_of_a_closed_output(shell: Shell, tmp_path: Path) -> None:
    shell(f"hold cat {HELLO} >&- 2>&- <&-", code=1, after=_ADD)
    assert not any(b"hello world" in path.read_bytes() for path in tmp_path.glob(".hold/lock"))
    assert b"all sound" in shell("hold verify").stdout


def test_closed_standard_input_is_an_error(shell: Shell) -> None:
    assert b"error: read standard input: Bad file descriptor" in shell("hold add - <&-", code=1, after=_ADD).stderr


def test_a_deleted_working_directory_is_no_obstacle(shell: Shell) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && hold cat {HELLO}", after=_ADD)
    assert done.stdout == b"hello world\n"
    done = shell("mkdir gone && cd gone && rmdir ../gone && hold init --here", code=1)
    assert b"code: E-NOT-FOUND" in done.stderr


def test_a_repository_whose_name_is_not_utf8_is_shown(shell: Shell) -> None:
    assert b"made a repository at bad\\udcff\n" in shell("hold --repo $'bad\\xff' init").stdout


@pytest.mark.parametrize("segment", ["²", "٣", "9" * 5000, "2", "-1", "+1"])
def test_what_is_no_position_in_a_list_is_not_found(shell: Shell, segment: str) -> None:
    done = shell(f"hold dag get $(<cid)/{segment}", code=1, after=f"{_ADD} && {_NUMBERS}")
    assert b"code: E-NOT-FOUND" in done.stderr


def test_too_little_address_space_is_said_so(shell: Shell) -> None:
    done = shell("ulimit -v 4000000 && hold pin ls", code=1, after=_ADD)
    assert b"code: E-NO-MEMORY" in done.stderr and b"try: " in done.stderr


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(28, "No space left on device", "/x"), Kind.DISK_FULL, "add /x: No space left on device"),
        (MemoryError(), Kind.NO_MEMORY, "add: memory is used up"),
        (Interrupted(signal.SIGHUP), Kind.HUNG_UP, "add: interrupted; what was not acknowledged is not kept"),
        (Interrupted(signal.SIGINT), Kind.INTERRUPTED, "add: interrupted; what was not acknowledged is not kept"),
    ],
)
def test_what_ends_a_command_has_a_kind(error: BaseException, kind: Kind, said: str) -> None:
    told = translated("add", error)
    assert (told.kind, str(told)) == (kind, said)


def test_a_bug_says_that_it_is_one_and_where() -> None:
    def deeper(depth: int) -> int:
        return deeper(depth + 1)

    from commonhold.formats import varint

    for broken, says in ((lambda: deeper(0), "RecursionError at "), (lambda: varint.decode(None, 0), "TypeError at ")):  # type: ignore[arg-type]
        with pytest.raises(Exception) as caught:
            broken()
        told = translated("add", caught.value)
        assert told.kind is Kind.BUG and "\n" not in str(told) and len(str(told)) < 400
        assert str(told).startswith(f"add: a bug in hold: {says}")
    assert "at formats/varint.py:" in str(told)


_BROKEN = """python -c '
import sys
from commonhold.cli import main, version
def run(args, out): raise ValueError("odd")
version.run = run
sys.exit(main.main(["version"]))'"""


def test_a_signal_is_not_lost_where_nothing_can_be_raised(shell: Shell) -> None:
    script = _BROKEN.replace("python", sys.executable, 1).replace('raise ValueError("odd")', "Gone(); time.sleep(30)")
    gone = "import signal, time\nclass Gone:\n    def __del__(self): signal.raise_signal(signal.SIGTERM)\ndef run"
    assert b"code: E-TERMINATED" in shell(script.replace("def run", gone), code=143).stderr
    shell(script.replace("def run", gone).replace("time.sleep(30)", "return 0"))


def test_a_bug_is_one_line_and_a_traceback_only_if_asked_for(shell: Shell, tmp_path: Path) -> None:
    script = _BROKEN.replace("python", sys.executable, 1)
    lines = shell(script, code=1).stderr.decode().splitlines()
    assert lines[0].startswith("error: version: a bug in hold: ValueError at ") and lines[0].endswith(": odd")
    assert lines[1].startswith("try: ") and lines[2:] == ["code: E-BUG"]
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=False, env=os.environ | {"HOLD_DEBUG": "1"}
    )
    assert done.returncode == 1 and b"Traceback" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGINT, 130, "E-INTERRUPTED"),
        (signal.SIGTERM, 143, "E-TERMINATED"),
        (signal.SIGHUP, 129, "E-HUNG-UP"),
    ],
)
def test_a_signal_ends_a_command_and_what_it_had_begun(
    shell: Shell, tmp_path: Path, number: signal.Signals, code: int, name: str
) -> None:
    shell("", after=_MANY)
    told = b""
    while not told:  # where the machine has other work, it may be done before anybody looks
        shutil.rmtree(tmp_path / "back", ignore_errors=True)
        process = _started(tmp_path, "get", (tmp_path / "root").read_text().strip(), "-o", "back", "--json")
        while process.poll() is None and not any(tmp_path.glob(".back.*.partial")):
            time.sleep(0.002)
        process.send_signal(number)
        _, told = process.communicate(timeout=SECONDS)
        assert told or process.returncode == 0
    row = json.loads(told)
    assert (process.returncode, row["exit"], row["code"]) == (code, code, name)
    assert not any(tmp_path.glob(".back.*")) and not (tmp_path / "back").exists()
    shell("hold verify")


def test_a_command_that_was_told_to_ignore_hang_ups_goes_on(shell: Shell) -> None:
    waits = "{ until [ -e go ]; do sleep 0.02; done; echo 'hello world'; }"
    script = (
        f"set -m; {{ trap '' HUP; touch ready; {waits} | hold add -Q -; }} & until [ -e ready ]; do sleep 0.02; done"
    )
    done = shell(f"{script}; sleep 0.5; kill -HUP -- -$!; touch go; wait", after="hold init >/dev/null")
    assert done.stdout == f"{HELLO}\n".encode()


def _started(home: Path, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.hold", *words],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.root
@pytest.mark.parametrize(
    ("how", "told"),
    [
        (
            "chown 12345 .hold/lock && setpriv --bounding-set=-dac_override,-dac_read_search",
            "Permission denied\ntry: ask its owner, or change who may use it\ncode: E-DENIED",
        ),
        (
            "mount --bind .hold .hold && mount -o remount,ro,bind .hold && env",
            "Read-only file system\ntry: mount its file system for writing\ncode: E-DENIED",
        ),
    ],
)
def test_a_lock_that_cannot_be_had_is_an_error(shell: Shell, tmp_path: Path, how: str, told: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs to mount and to be another")
    shell("hold init && hold pin ls")
    script = f"unshare -m bash -c '{how} {sys.executable} -m tests.cli.hold pin ls'"
    assert shell(script, code=12).stderr.decode() == f"error: lock {tmp_path}/.hold/lock: {told}\n"
