"""Commands and the agent behind them: it starts by itself, comes back when it was killed, and can be done without."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from commonhold.host import daemon
from tests.cli.running import Hold, daemons, last, runner
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow
LARGE = 2 << 30
ALONE = b"does its work itself"


def agents(home: Path) -> list[int]:
    """The agents at work below a directory."""
    return [pid for pid in daemons(home) if b"\0agent" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.fixture
def hold(tmp_path: Path) -> Hold:
    """The command, with a node and no agent yet."""
    run = runner(tmp_path)
    run("init")
    daemon.stop(json.loads(run("up", "--json").stdout)["agent"], 30)
    assert agents(tmp_path) == []
    return run


def begun(home: Path, *words: str, **more: str) -> "subprocess.Popen[bytes]":
    """A command that is at work."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.hold", *words],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "HOLD_REPO": str(home / "repo")}
        | {"PYTHONPATH": str(Path(__file__).parents[2])}
        | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def reads(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    try:
        return str(path) in [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return False


def adding(hold: Hold, home: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """An add of something large that is under way, and the agent that does it."""
    with open(home / "large", "wb") as large:
        large.truncate(LARGE)
    hold("pin", "ls")
    (agent,) = agents(home)
    process = begun(home, "add", "-Q", "large", "--name", "large")
    until(lambda: reads(agent, home / "large"))
    return process, agent


def in_one_form(told: bytes, code: str) -> bool:
    lines = told.decode().splitlines()
    return lines[0].startswith("error: ") and lines[1].startswith("try: ") and lines[2:] == [f"code: {code}"]


# ── it comes by itself ──


def test_a_command_starts_it_and_the_next_one_finds_it(hold: Hold, tmp_path: Path) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    (first,) = agents(tmp_path)
    assert hold("cat", root).stdout == b"content" and hold("pin", "ls").stderr == b""
    assert agents(tmp_path) == [first]
    assert f"process {first}, yours alone" in json.loads(hold("status", "--json").stdout)["agent"]
    said = hold("down").stdout.decode()
    assert f"your agent, process {first}, has ended" in said and daemons(tmp_path) == []


def test_status_and_down_start_none(hold: Hold, tmp_path: Path) -> None:
    assert b"starts with the next command" in hold("status").stdout
    assert agents(tmp_path) == []
    assert json.loads(hold("down", "--json").stdout)["agent"] is None and daemons(tmp_path) == []


def test_one_that_was_killed_comes_back_with_the_next_command(hold: Hold, tmp_path: Path) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    (first,) = agents(tmp_path)
    os.kill(first, signal.SIGKILL)
    until(lambda: not agents(tmp_path))
    assert (tmp_path / "repo" / "agent.sock").is_socket()
    done = hold("cat", root)
    assert done.stdout == b"content" and done.stderr == b""
    (second,) = agents(tmp_path)
    assert second != first


def test_commands_that_start_at_once_find_one_agent(hold: Hold, tmp_path: Path) -> None:
    processes = [begun(tmp_path, "add", "-Q", "-n", "repo/format.json") for _ in range(3)]
    processes += [begun(tmp_path, "key", "new", f"key{number}") for number in range(10)]
    for process in processes:
        _, told = process.communicate(timeout=SECONDS)
        assert process.returncode == 0 and ALONE not in told, told
    until(lambda: len(agents(tmp_path)) == 1)  # those that came too late are about to end
    assert len(hold("key", "ls").stdout.splitlines()) == 10


def test_a_command_that_comes_when_it_is_about_to_end_starts_the_next(hold: Hold, tmp_path: Path) -> None:
    path = tmp_path / "repo" / "agent.sock"
    with socket.socket(socket.AF_UNIX) as ending:
        ending.bind(str(path))
        ending.listen()

        def end() -> None:
            with ending.accept()[0]:
                path.unlink()

        thread = threading.Thread(target=end)
        thread.start()
        done = hold("pin", "ls")
        thread.join()
    assert done.stderr == b"" and len(agents(tmp_path)) == 1


def test_one_that_is_at_work_is_not_joined_by_another(hold: Hold, tmp_path: Path) -> None:
    hold("pin", "ls")
    first = agents(tmp_path)
    assert b"its agent is at work already\n" in hold("agent", code=1).stderr
    assert agents(tmp_path) == first and hold("pin", "ls").stderr == b""


def test_it_ends_when_nobody_has_been_there_for_long(hold: Hold, tmp_path: Path) -> None:
    process = begun(tmp_path, "agent", "--idle", "1")
    until((tmp_path / "repo" / "agent.sock").exists)
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "repo" / "agent.sock"))
        time.sleep(1.5)
        assert process.poll() is None
    left = time.monotonic()
    assert process.communicate(timeout=SECONDS) == (b"", b"") and process.returncode == 0
    assert time.monotonic() - left > 0.9 and time.monotonic() - began > 2.4
    assert not (tmp_path / "repo" / "agent.sock").exists()
    hold("pin", "ls")
    assert len(agents(tmp_path)) == 1


# ── it ends, or its caller does ──


def test_a_command_whose_agent_is_killed_ends_in_an_error_and_can_be_run_again(hold: Hold, tmp_path: Path) -> None:
    process, agent = adding(hold, tmp_path)
    os.kill(agent, signal.SIGKILL)
    said, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 11 and said == b"" and in_one_form(told, "E-UNREACHABLE")
    assert hold("pin", "ls").stdout == b""
    hold("add", "-Q", "large", "--name", "large")
    assert hold("pin", "ls").stdout.split()[-1] == b"large" and b"all sound" in hold("verify").stdout


def test_an_agent_that_is_told_to_end_finishes_what_it_does(hold: Hold, tmp_path: Path) -> None:
    process, agent = adding(hold, tmp_path)
    os.kill(agent, signal.SIGTERM)
    said, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and told == b"" and said
    until(lambda: not agents(tmp_path))
    assert hold("pin", "ls").stdout.split()[-1] == b"large"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_ends_takes_its_call_with_it(hold: Hold, tmp_path: Path, number: int) -> None:
    process, agent = adding(hold, tmp_path)
    process.send_signal(number)
    said, told = process.communicate(timeout=SECONDS)
    if number != signal.SIGKILL:
        name = {signal.SIGINT: "E-INTERRUPTED", signal.SIGTERM: "E-TERMINATED"}[signal.Signals(number)]
        assert process.returncode == 128 + number and said == b"" and in_one_form(told, name)
    until(lambda: not reads(agent, tmp_path / "large"))
    assert hold("pin", "ls").stdout == b"" and hold("gc").stderr == b""
    assert agents(tmp_path) == [agent]


def test_an_interrupted_get_leaves_nothing(hold: Hold, tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as large:
        large.truncate(LARGE)
    root = last(hold("add", "-Q", "large"))
    process = begun(tmp_path, "get", root, "-o", "back")
    until(lambda: any(tmp_path.glob(".back.*")))
    process.send_signal(signal.SIGINT)
    assert in_one_form(process.communicate(timeout=SECONDS)[1], "E-INTERRUPTED")
    until(lambda: not any(tmp_path.glob(".back.*")))
    assert not (tmp_path / "back").exists()


# ── it cannot be had ──


@pytest.mark.parametrize(
    "obstacle",
    [
        "mkdir agent.log",
        "mkdir agent.sock",
        "echo mine >agent.sock",
        "mkdir agent.lock",
        "ln -s / agent.lock",
    ],
)
def test_where_there_can_be_none_a_command_says_so_and_does_its_work_itself(
    hold: Hold, tmp_path: Path, obstacle: str
) -> None:
    subprocess.run(["sh", "-c", f"rm -f agent.l*; {obstacle}"], cwd=tmp_path / "repo", check=True)
    before = sorted(os.listdir(tmp_path / "repo"))
    done = hold("add", "-", given=b"content")
    assert ALONE in done.stderr.splitlines()[0] and agents(tmp_path) == []
    assert hold("--quiet", "cat", last(done)).stdout == b"content"
    assert {*os.listdir(tmp_path / "repo")} - {*before} <= {"agent.log", "agent.lock", "reuse.sqlite"}
    status = json.loads(hold("status", "--json").stdout)
    assert status["agent"] and hold("down").returncode == 0


def test_none_starts_where_others_could_change_its_things(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "repo").chmod(0o770)
    done = hold("agent", code=12)
    assert b"others can change it" in done.stderr and f"try: chmod go-w {tmp_path}/repo".encode() in done.stderr
    (tmp_path / "repo").chmod(0o1777)  # though nobody could take the socket away
    assert b"others can change it" in hold("agent", code=12).stderr


def test_a_socket_that_leads_nowhere_is_replaced(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "repo" / "agent.sock").symlink_to("nowhere")
    assert hold("pin", "ls").stderr == b"" and len(agents(tmp_path)) == 1


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n\r\n", b"\0\0\0\x01\x90", b"\0\0\0\x07\x92\xa4done\xc0", b""])
def test_what_is_no_agent_is_not_believed(hold: Hold, tmp_path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "repo" / "agent.sock"))
        sock.listen()

        def speak() -> None:
            while True:
                try:
                    with sock.accept()[0] as caller:
                        caller.sendall(said)
                        caller.shutdown(socket.SHUT_WR)
                        while caller.recv(1000):
                            pass
                except OSError:
                    if sock.fileno() < 0:
                        return

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        done = hold("pin", "ls", code=None)
        sock.shutdown(socket.SHUT_RDWR)
        assert done.returncode == 0 and ALONE in done.stderr


_OF_ANOTHER_VERSION = """
import os, socket, sys, msgspec
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen()
while True:
    with sock.accept()[0] as caller:
        if caller.recv(1000):
            body = msgspec.msgpack.encode(["done", ["9.9", 99, os.getpid()]])
            caller.sendall(len(body).to_bytes(4, "big") + body)
            caller.recv(1000)
"""


def test_an_agent_that_speaks_in_another_way_is_told_to_end_and_one_of_ours_is_started(
    hold: Hold, tmp_path: Path
) -> None:
    path = tmp_path / "repo" / "agent.sock"
    with subprocess.Popen([sys.executable, "-c", _OF_ANOTHER_VERSION, str(path)]) as other:
        try:
            until(path.is_socket)
            assert hold("pin", "ls").stderr == b""
            assert other.wait(SECONDS) == -signal.SIGTERM and len(agents(tmp_path)) == 1
        finally:
            other.kill()


def test_an_agent_of_a_repository_that_was_removed_leaves_the_next_ones_socket(hold: Hold, tmp_path: Path) -> None:
    hold("pin", "ls")
    (old,) = agents(tmp_path)
    (tmp_path / "repo").rename(tmp_path / "old")
    hold("init")
    hold("up")
    (new,) = [pid for pid in agents(tmp_path) if pid != old]
    daemon.stop(old, 30)
    assert hold("pin", "ls").stderr == b"" and agents(tmp_path) == [new]


NO_UNSHARE = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 272, "aarch64": 97}[platform.machine()]
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
raw = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(raw)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0, ctypes.get_errno()
os.execv(sys.executable, [sys.executable, "-m", "tests.cli.hold", *sys.argv[1:]])
"""


def test_where_no_thread_may_stand_apart_a_command_does_its_work_itself(hold: Hold, tmp_path: Path) -> None:
    """As in a container whose filter of system calls lets nobody unshare anything."""
    environment = {
        "HOME": str(tmp_path),
        "HOLD_REPO": str(tmp_path / "repo"),
        "PYTHONPATH": os.fspath(Path(__file__).parents[2]),
    }
    words = [sys.executable, "-c", NO_UNSHARE, "add", "-"]
    done = subprocess.run(words, input=b"content", env=environment, capture_output=True, check=True, timeout=SECONDS)
    assert ALONE in done.stderr and b"Operation not permitted" in done.stderr and agents(tmp_path) == []
    assert hold("cat", last(done)).stdout == b"content"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be elsewhere, or of other groups")
@pytest.mark.parametrize("apart", ["unshare -m", "setpriv --groups 12345", "setpriv --bounding-set=-chown", "chroot /"])
def test_a_caller_who_may_see_other_files_does_its_work_itself(hold: Hold, tmp_path: Path, apart: str) -> None:
    hold("pin", "ls")
    (tmp_path / "file").write_bytes(b"content")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HOLD_REPO": str(tmp_path / "repo")}
    words = [*apart.split(), sys.executable, "-m", "tests.cli.hold", "add", str(tmp_path / "file")]
    more = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, env=environment | more, capture_output=True, check=True, timeout=SECONDS)
    assert (ALONE in done.stderr) == (apart != "chroot /")
    assert hold("cat", last(done)).stdout == b"content" and len(agents(tmp_path)) == 1
