"""What of a mount may stop, hang or be killed, and what others notice of it: nothing, or a pause."""

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.beside import outcome
from tests.system.mounts import Dweller, Host, Mount, mount, uid_of
from tests.system.people import Doing
from tests.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
    pytest.mark.usefixtures("watched"),
]
SOON = 1.0  # seconds that nobody waits for anything while somebody else's agent hangs


@pytest.fixture
def mounted(machine: Host) -> Iterator[Mount]:
    with mount(machine) as one:
        yield one


def waited(true: Callable[[], bool]) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    until(true, 0.01)
    return time.monotonic() - began


def ended(doing: Doing[object]) -> Callable[[], bool]:
    return lambda: not doing.goes_on()


# ── agents ──


def work_for(seconds: float, place: Path) -> float:
    """Work in a directory; how long the longest part of it took."""
    longest, stop, number = 0.0, time.monotonic() + seconds, 0
    while time.monotonic() < stop:
        began, number = time.monotonic(), number + 1
        (place / "new").write_bytes(b"x" * 5000)
        (place / "new").rename(place / f"name{number % 10}")
        os.listdir(place)
        assert (place / f"name{number % 10}").read_bytes() == b"x" * 5000
        longest = max(longest, time.monotonic() - began)
    return longest


def test_an_agent_that_hangs_is_waited_for_by_its_own_user_alone(
    mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    bobs = mounted.spot(bob, spot.name)
    agent = alice.agent
    os.kill(agent, signal.SIGSTOP)
    try:
        makers = [alice.start(lambda number=number: (spot / f"{number}").touch()) for number in range(20)]  # type: ignore[misc]
        longest = bob.do(lambda: work_for(3, bobs))
        print(f"{longest * 1e3:.0f} ms")  # noqa: T201
        assert longest < SOON
        assert all(maker.goes_on() for maker in makers)
        makers.pop().kill()
    finally:
        os.kill(agent, signal.SIGCONT)
    for maker in makers:
        alice.host.result(maker)
    assert set(alice.do(lambda: os.listdir(spot))) >= {str(number) for number in range(19)}


def test_who_waits_for_an_agent_that_hangs_can_be_killed(mounted: Mount, alice: Dweller, spot: Path) -> None:
    alice.do(lambda: (spot / "file").write_bytes(b"x"))
    agent = alice.agent
    os.kill(agent, signal.SIGSTOP)
    try:
        works: list[Callable[[], object]] = [
            lambda: (spot / "new").touch(),
            lambda: (spot / "absent").stat(),
            lambda: os.listdir(mounted.of(alice) / "nothing"),
        ]
        waiting = [alice.start(work) for work in works]
        time.sleep(0.5)
        for one in waiting:
            assert one.goes_on()
            os.kill(one.pid, signal.SIGKILL)
        took = waited(lambda: not any(one.goes_on() for one in waiting))
        print(f"{took:.1f} s")  # noqa: T201
        for one in waiting:
            one.kill()
    finally:
        os.kill(agent, signal.SIGCONT)
    assert alice.do((spot / "file").read_bytes) == b"x"


def test_who_gets_a_signal_and_lives_on_waits_as_for_a_disk(alice: Dweller, spot: Path) -> None:
    """Programs do not expect that asking after a file is interrupted; some send themselves signals all the time."""

    def ask() -> tuple[int, object]:
        came = []
        signal.signal(signal.SIGALRM, lambda *_: came.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        try:
            found = outcome((spot / "absent").stat)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return len(came), found

    agent = alice.agent
    os.kill(agent, signal.SIGSTOP)
    try:
        asking = alice.start(ask)
        time.sleep(3)
        assert asking.goes_on()
    finally:
        os.kill(agent, signal.SIGCONT)
    came, found = alice.host.result(asking)
    assert came and found == "ENOENT"


def test_an_agent_that_is_killed_comes_again_with_all_that_was_on_disk(
    mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    bobs = mounted.spot(bob, spot.name)

    def write() -> None:
        fd = os.open(spot / "file", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"on disk")
        os.fsync(fd)

    for number in range(4):
        alice.do(write)
        working = bob.start(lambda: work_for(0.5, bobs))
        os.kill(alice.agent, signal.SIGKILL)
        came = alice.do(lambda: outcome((spot / "file").read_bytes))
        assert came in (b"on disk", "EIO"), number  # what was under way just then
        assert alice.do((spot / "file").read_bytes) == b"on disk"
        assert alice.host.result(working) < SOON
    assert "the agent of" not in mounted.errors.read_text()


def seen(place: Path) -> dict[str, tuple[object, ...]]:
    """All that is in a directory: number and attributes, attributes of the user's, content."""
    found: dict[str, tuple[object, ...]] = {}
    for name in sorted(os.listdir(place)):
        path = place / name
        status = path.lstat()
        said: object = os.readlink(path) if path.is_symlink() else path.is_dir() or path.read_bytes()
        xattrs = {} if path.is_symlink() else {one: os.getxattr(path, one) for one in os.listxattr(path)}
        times = (status.st_mtime_ns, status.st_ctime_ns)
        found[name] = (status.st_ino, status.st_mode, status.st_nlink, status.st_size, *times, xattrs, said)
    return found


def test_what_a_mount_was_answered_is_there_after_its_agent_was_killed(
    mounted: Mount, alice: Dweller, spot: Path
) -> None:
    """Written, renamed and removed within the two seconds before a commit; looked at through another mount, whose
    kernel knows nothing of it but what the agent says."""

    def work() -> dict[str, tuple[object, ...]]:
        for number in range(3):
            (spot / "new").write_bytes(os.urandom(700_000 * number + 10))
            (spot / "new").rename(spot / f"file{number}")
        os.setxattr(spot / "file0", "user.x", b"value")
        os.link(spot / "file0", spot / "linked")
        os.symlink("file0", spot / "symlink")
        (spot / "directory").mkdir(mode=0o700)
        (spot / "file1").chmod(0o640)
        (spot / f"file{2}").unlink()
        return seen(spot)

    before = alice.do(work)
    os.kill(alice.agent, signal.SIGKILL)
    with mount(mounted.host) as other:
        after = alice.do(lambda: seen(other.of(alice) / spot.name))
        assert after == before and set(after) == {"file0", "file1", "linked", "symlink", "directory"}
        assert other.stop() == 0


def test_a_file_without_a_name_is_there_for_who_has_it_open_when_the_agent_was_killed(
    mounted: Mount, alice: Dweller, spot: Path
) -> None:
    def work() -> bytes:
        fd = os.open(spot / "gone", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"before")
        os.fsync(fd)
        os.unlink(spot / "gone")
        (alice.directory / "unlinked").touch()
        waited(lambda: not (alice.directory / "unlinked").exists())
        waited(lambda: outcome((spot / "new").touch) is None)  # the next agent is there
        os.write(fd, b" and after")
        os.fsync(fd)
        direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT)  # what the agent has
        return os.read(direct, 100)

    working = alice.start(work)
    waited((alice.directory / "unlinked").exists)
    os.kill(alice.agent, signal.SIGKILL)
    (alice.directory / "unlinked").unlink()
    assert alice.host.result(working) == b"before and after"


def test_what_the_kernel_had_not_written_when_an_agent_was_killed_comes_to_the_next_or_is_missed(
    alice: Dweller, spot: Path
) -> None:
    """A program that asks is told of what was just under way: no success is shown that was none."""

    def write() -> object:
        fd = os.open(spot / "file", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"new" * 100_000)
        (alice.directory / "written").touch()
        while (alice.directory / "written").exists():
            time.sleep(0.01)
        came = outcome(lambda: os.fsync(fd))
        return came if came is not None else os.pread(fd, 9, 0)

    writing = alice.start(write)
    waited((alice.directory / "written").exists)
    os.kill(alice.agent, signal.SIGKILL)
    (alice.directory / "written").unlink()
    assert alice.host.result(writing) in ("EIO", b"newnewnew")


# ── the worker ──


def test_the_worker_has_nothing_but_what_it_serves_with(machine: Host, mounted: Mount, alice: Dweller) -> None:
    alice.do(lambda: os.listdir(mounted.of(alice)))
    worker = Path(f"/proc/{mounted.worker()}")
    rows = dict(line.split(":", 1) for line in (worker / "status").read_text().splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(rows[name], 16) == 0, name
    assert rows["NoNewPrivs"].strip() == "1" and rows["Groups"].strip() == ""
    assert set(rows["Uid"].split()) == {str(machine.worker.uid)}
    assert set(rows["Gid"].split()) == {str(machine.worker.gid)}
    assert os.readlink(worker / "ns/net") != os.readlink(f"/proc/{mounted.process.pid}/ns/net")
    interfaces = [line.split(":")[0].strip() for line in (worker / "net/dev").read_text().splitlines()[2:]]
    assert interfaces == ["lo"]

    def kinds(pid: int) -> list[str]:
        found = sorted(os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
        return [path.split("[")[0] if path.startswith(("socket:", "pipe:", "anon_inode:[")) else path for path in found]

    own = kinds(mounted.worker())
    assert own.count("/dev/fuse") == 1 and "pipe:" not in own  # by which the keeper hears of signals
    assert own.count("socket:") == 3  # the keeper's, where agents come, and alice's
    shared = {os.readlink(entry) for entry in (worker / "fd").iterdir()}
    keepers = {os.readlink(entry) for entry in Path(f"/proc/{mounted.process.pid}/fd").iterdir()}
    assert len({path for path in shared & keepers if path.startswith("socket:")}) == 1  # where agents come


def test_a_copy_goes_on_while_the_worker_is_killed_again_and_again(
    mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    source = alice.directory / "source"
    alice.do(lambda: source.mkdir())
    bobs = mounted.spot(bob, spot.name)

    def make() -> None:
        (source / "large").write_bytes(os.urandom(48 << 20))
        for number in range(1000):
            (source / f"small{number}").write_bytes(os.urandom(number))

    def copy() -> None:
        for number in range(50):
            subprocess.run(["cp", "-r", str(source), str(spot / "copy")], check=True)
            subprocess.run(["diff", "-r", str(source), str(spot / "copy")], check=True)
            (spot / "copy").rename(spot / f"copy{number}")
            if (alice.directory / "enough").exists():
                return
            subprocess.run(["rm", "-r", str(spot / f"copy{number}")], check=True)

    alice.do(make)
    copying, working = alice.start(copy), bob.start(lambda: work_for(8, bobs))
    kills, began = 0, time.monotonic()
    while time.monotonic() < began + 8:
        time.sleep(0.3)
        worker = mounted.worker()
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        kills += 1
        waited(lambda worker=worker: uid_of(worker) is None)  # type: ignore[misc]
    alice.do((alice.directory / "enough").touch)
    longest = mounted.host.result(working)
    alice.host.result(copying)
    print(f"{kills} kills; the longest pause {longest:.1f} s")  # noqa: T201
    assert kills >= 4
    assert mounted.errors.read_text().count("the worker has ended") == kills


def test_nothing_is_done_twice_because_a_worker_was_killed(mounted: Mount, alice: Dweller, spot: Path) -> None:
    """Names are taken and given up, of which the second time would be an error."""

    def work() -> int:
        rounds = 0
        while rounds <= 20 or not (alice.directory / "done").exists():
            os.mkdir(spot / "directory")
            os.close(os.open(spot / "directory" / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.link(spot / "directory" / "file", spot / "link")
            os.rename(spot / "link", spot / "moved")
            os.symlink("x", spot / "symlink")
            for name in ("moved", "symlink", "directory/file"):
                os.unlink(spot / name)
            os.rmdir(spot / "directory")
            rounds += 1
        return rounds

    working = alice.start(work)
    for _ in range(5):
        time.sleep(0.5)
        os.kill(mounted.worker(), signal.SIGKILL)
    time.sleep(0.5)
    (alice.directory / "done").touch()
    assert alice.host.result(working) > 20
    (alice.directory / "done").unlink()


def test_what_was_open_before_a_worker_was_killed_is_open_after_it(mounted: Mount, alice: Dweller, spot: Path) -> None:
    def work() -> bytes:
        with open(spot / "file", "w+b") as file, open(spot / "gone", "w+b") as gone:
            file.write(b"before ")
            gone.write(b"a name ")
            os.unlink(spot / "gone")
            (alice.directory / "ready").touch()
            while (alice.directory / "ready").exists():
                time.sleep(0.01)
            for one in (file, gone):
                one.write(b"and after")
                one.seek(0)
            return file.read() + gone.read()

    working = alice.start(work)
    waited((alice.directory / "ready").exists)
    os.kill(mounted.worker(), signal.SIGKILL)
    (alice.directory / "ready").unlink()
    assert alice.host.result(working) == b"before and aftera name and after"


# ── the keeper ──


def test_what_was_acknowledged_is_there_after_a_stop_among_writers(mounted: Mount, alice: Dweller, spot: Path) -> None:
    """A file that was closed, without a sync, and what was synced of one that is open still."""

    def write() -> tuple[int, object]:
        fd = os.open(spot / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        count = 0
        try:
            while True:
                os.write(fd, f"{count:9d}\n".encode())
                os.fsync(fd)
                count += 1
        except OSError as error:
            return count, error.errno

    alice.do(lambda: (spot / "closed").write_bytes(b"closed" * 100_000))
    writing = alice.start(write)
    until(lambda: alice.do(lambda: [log.stat().st_size > 200 for log in spot.glob("log")]) == [True], 0.5)
    alice.do(lambda: (spot / "late").write_bytes(b"late" * 1000))
    began = time.monotonic()
    assert mounted.stop() == 0
    print(f"{time.monotonic() - began:.1f} s")  # noqa: T201
    count, error = mounted.host.result(writing)
    assert count > 10 and error in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
    assert mounted.at not in mounted.host.mounts()
    mounted.start()
    lines = alice.do((spot / "log").read_text).splitlines()
    assert len(lines) >= count and lines[:count] == [f"{number:9d}" for number in range(count)]
    assert alice.do((spot / "closed").read_bytes) == b"closed" * 100_000
    assert alice.do((spot / "late").read_bytes) == b"late" * 1000


def test_a_keeper_that_was_killed_takes_its_worker_along_and_the_next_one_takes_the_mount_away(
    mounted: Mount, alice: Dweller, spot: Path
) -> None:
    def synced() -> None:
        fd = os.open(spot / "file", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"on disk")
        os.fsync(fd)

    alice.do(synced)
    worker = mounted.worker()
    mounted.kill()
    waited(lambda: uid_of(worker) is None)
    assert alice.do(lambda: outcome((spot / "file").stat)) == "ENOTCONN"
    mounted.start()
    assert alice.do((spot / "file").read_bytes) == b"on disk"
    assert len([path for path in mounted.host.mounts() if path == mounted.at]) == 1


def test_a_keeper_stops_soon_when_nothing_is_in_use(mounted: Mount, alice: Dweller, spot: Path) -> None:
    alice.do(lambda: (spot / "file").write_bytes(b"content"))
    began = time.monotonic()
    assert mounted.stop(signal.SIGINT) == 0
    took = time.monotonic() - began
    print(f"{took:.1f} s")  # noqa: T201
    assert took < 15  # not all of what a stop may take
    assert not mounted.socket.exists() and mounted.errors.read_text() == ""


def test_a_keeper_that_is_killed_while_it_unmounts_leaves_nothing_that_hangs(
    mounted: Mount, alice: Dweller, spot: Path
) -> None:
    agent = alice.agent

    def write() -> None:
        fd = os.open(spot / "file", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x" * 100_000)
        (alice.directory / "open").touch()
        time.sleep(60)

    writing = alice.start(write)
    waited((alice.directory / "open").exists)
    os.kill(agent, signal.SIGSTOP)
    try:
        mounted.process.send_signal(signal.SIGTERM)
        time.sleep(1)  # what was written is on its way, and does not come there
        mounted.kill()
        waited(lambda: alice.do(lambda: outcome((spot / "nothing").stat)) in ("ENOTCONN", "ENOENT"))  # dead, or gone
    finally:
        os.kill(agent, signal.SIGCONT)
        writing.kill()
    mounted.start()
    assert alice.do(lambda: os.listdir(spot)) is not None


# ── more than one ──


def test_two_mounts_of_one_host_serve_the_same_trees_and_end_apart(
    machine: Host, mounted: Mount, alice: Dweller, spot: Path
) -> None:
    with mount(machine) as other:
        alice.do(lambda: (spot / "file").write_bytes(b"content"))
        alice.run("sync", str(spot / "file"))
        same = other.of(alice) / spot.name
        assert alice.do((same / "file").read_bytes) == b"content"
        workings = [
            alice.start(lambda place=place, name=name: [(place / f"{name}{n}").touch() for n in range(200)])  # type: ignore[misc]
            for place, name in ((spot, "one"), (same, "other"))
        ]
        for working in workings:
            machine.result(working)
        assert other.stop() == 0
        assert len(alice.do(lambda: os.listdir(spot))) >= 201
    assert alice.do((spot / "file").read_bytes) == b"content"
