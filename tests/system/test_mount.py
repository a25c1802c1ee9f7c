"""A mount as its users see it: one namespace, everyone's own tree in it, and files as on any other file system."""

import mmap
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.beside import look, outcome, same
from tests.system.fsx import exercise
from tests.system.mounts import Dweller, Host, Mount, mount
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
    pytest.mark.usefixtures("watched"),
]


@pytest.fixture(scope="module")
def mounted(machine: Host) -> Iterator[Mount]:
    with mount(machine) as one:
        yield one
        assert one.errors.read_text() == ""


# ── the namespace ──


def test_everybody_sees_the_same_three_directories(machine: Host, mounted: Mount) -> None:
    def seen() -> list[tuple[str, int, int]]:
        found = [(name, (mounted.at / name).stat()) for name in sorted(os.listdir(mounted.at))]
        return [(name, status.st_mode, status.st_uid) for name, status in found]

    three = [(name, stat.S_IFDIR | 0o755, 0) for name in ("hold", "ipfs", "ipns")]
    assert [machine.alice.do(seen), machine.bob.do(seen), machine.do(seen)] == [three] * 3
    assert machine.alice.do(lambda: outcome(lambda: os.mkdir(mounted.at / "mine"))) == "EACCES"
    assert machine.do(lambda: outcome(lambda: os.mkdir(mounted.at / "mine"))) in ("EPERM", "EROFS")


def test_the_kernel_reads_a_whole_block_ahead(machine: Host, mounted: Mount) -> None:
    device = machine.do(lambda: mounted.at.stat().st_dev)
    ahead = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    assert ahead.read_text() == "1024\n"


def test_the_directory_of_users_has_who_was_asked_for_and_nobody_who_is_no_user(mounted: Mount, alice: Dweller) -> None:
    def seen() -> tuple[set[str], object]:
        mounted.of(alice).stat()
        return set(os.listdir(mounted.at / "hold")), outcome((mounted.at / "hold" / "no such user").stat)

    names, nobody = alice.do(seen)
    assert {"me", alice.person.name} <= names and nobody == "ENOENT"


def test_me_leads_each_caller_to_their_own_tree_at_the_same_time(mounted: Mount, alice: Dweller, bob: Dweller) -> None:
    me = mounted.at / "hold" / "me"

    def follow(name: str) -> set[str]:
        seen = set()
        new, moved = f"new{os.getpid()}", f"moved{os.getpid()}"
        (me / "whose").write_text(name)
        for _ in range(300):
            seen |= {os.readlink(me), (me / "whose").read_text()}
            (me / new).write_text(name)
            (me / new).rename(me / moved)
            seen.add((me / moved).read_text())
        return seen

    names = [alice.person.name, bob.person.name]
    at_work = [
        whose.start(lambda name=name: follow(name))  # type: ignore[misc]
        for whose, name in zip([alice, bob], names, strict=True)
    ]
    for doing, name in zip(at_work, names, strict=True):
        assert mounted.host.result(doing) == {name}


def test_what_was_added_for_everybody_is_there_by_its_cid_and_nothing_else_is(
    mounted: Mount, alice: Dweller, bob: Dweller
) -> None:
    content = os.urandom(3_000_000)
    source = alice.directory / "site"
    alice.do(lambda: source.mkdir())
    alice.do(lambda: (source / "page").write_bytes(content))
    public = alice.hold("add", "-Q", "-r", "--public", str(source)).stdout.decode().strip()
    private = alice.hold("add", "-Q", "-", given=b"alices own").stdout.decode().strip()
    page = mounted.at / "ipfs" / public / "page"

    def read() -> tuple[bytes, list[str], int]:
        return page.read_bytes(), os.listdir(page.parent), page.stat().st_mode & 0o222

    assert bob.do(read) == (content, ["page"], 0)
    assert mounted.host.do(read) == (content, ["page"], 0)

    def change() -> list[object]:
        return [outcome(page.unlink), outcome((page.parent / "new").mkdir), outcome(lambda: page.write_bytes(b""))]

    assert bob.do(change) == ["EACCES"] * 3
    assert mounted.host.do(change) == ["EROFS"] * 3
    for whose in (alice, bob):
        assert whose.do(lambda: outcome((mounted.at / "ipfs" / private).read_bytes)) == "ENOENT"


def test_a_published_name_leads_to_what_it_stands_for(mounted: Mount, alice: Dweller, bob: Dweller) -> None:
    root = alice.hold("add", "-Q", "--public", "-", given=b"as published").stdout.decode().strip()
    alice.hold("key", "new", "site")
    name = alice.hold("name", "publish", root, "--key", "site").stdout.decode().split()[-1].removeprefix("/ipns/")
    assert bob.do((mounted.at / "ipns" / name).read_bytes) == b"as published"


# ── files ──


def test_files_are_as_on_another_file_system(mounted: Mount, alice: Dweller, bob: Dweller) -> None:
    places = [(whose, mounted.spot(whose, f"beside{seed}"), seed) for seed, whose in enumerate([alice, bob] * 2)]
    at_work = [
        whose.start(lambda: same(place / "tried", whose.directory / f"right{seed}", seed, 2500))  # noqa: B023
        for whose, place, seed in places
    ]
    for doing in at_work:
        mounted.host.result(doing)


def test_a_file_is_what_was_done_to_it(alice: Dweller, spot: Path) -> None:
    assert alice.do(lambda: exercise(spot / "file", 1, 2000)) <= {"collapse", "insert"}


def test_what_every_kind_of_caller_may_do_works(alice: Dweller, spot: Path) -> None:
    def work() -> None:
        os.chdir(spot)
        Path("long").write_bytes(bytes(range(256)) * 8192)
        with open("long", "r+b") as file:
            with mmap.mmap(file.fileno(), 0) as shared:
                shared[5000:5005] = b"hello"
            with mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as own:
                own[5000:5005] = b"other"
        assert Path("long").read_bytes()[5000:5005] == b"hello"
        name = b"\xff\n" + b"n" * 253
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        assert name in os.listdir(b".")
        assert outcome(lambda: os.open(b"n" * 256, os.O_CREAT)) == "ENAMETOOLONG"
        os.utime("long", ns=(1_600_000_000_123_456_789, -1_000_000_001))
        assert os.stat("long").st_mtime_ns == -1_000_000_001 and os.stat("long").st_atime_ns % 10**9 == 123_456_789
        os.symlink("/" + "x" * 4000, "far")
        assert len(os.readlink("far")) == 4001
        os.mkfifo("pipe")
        reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open("pipe", os.O_WRONLY)
        assert os.write(writer, b"through") == 7 and os.read(reader, 7) == b"through"
        with open("sparse", "wb") as file:
            file.seek(3 << 40)
            file.write(b"end")
        found = os.stat("sparse")
        assert found.st_size == (3 << 40) + 3 and found.st_blocks * 512 < 1 << 20
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, b"unnamed")
        os.link(f"/proc/self/fd/{fd}", "named", src_dir_fd=fd)  # a directory has to be named for it to be followed
        assert Path("named").read_bytes() == b"unnamed"

    alice.do(work)


def test_several_processes_append_to_one_file_and_nothing_is_lost(alice: Dweller, spot: Path) -> None:
    def append(mark: int) -> None:
        fd = os.open(spot / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number in range(500):
            os.write(fd, f"{mark} {number} {'x' * (number % 50)}\n".encode())

    at_work = [alice.start(lambda mark=mark: append(mark)) for mark in range(4)]  # type: ignore[misc]
    for doing in at_work:
        alice.host.result(doing)
    lines = alice.do((spot / "log").read_text).splitlines()
    assert sorted(lines) == sorted(
        f"{mark} {number} {'x' * (number % 50)}" for mark in range(4) for number in range(500)
    )


def test_a_listing_of_many_has_each_once_while_others_come_and_go(alice: Dweller, spot: Path) -> None:
    stay = {f"stays-{number}" for number in range(2000)}

    def make() -> None:
        for name in stay:
            os.close(os.open(spot / name, os.O_CREAT | os.O_WRONLY))

    def trouble() -> None:
        for number in range(500):
            (spot / f"comes-{number}").touch()
            (spot / f"comes-{number}").rename(spot / f"goes-{number}")
            (spot / f"goes-{number}").unlink()

    alice.do(make)
    troubling = alice.start(trouble)
    for _ in range(5):
        names = alice.do(lambda: os.listdir(spot))
        assert len(names) == len(set(names)) and stay <= set(names)
    alice.host.result(troubling)
    assert set(alice.do(lambda: os.listdir(spot))) == stay


def test_what_is_open_lives_on_without_a_name(alice: Dweller, spot: Path) -> None:
    def work() -> bytes:
        with open(spot / "file", "w+b") as file:
            file.write(b"before")
            file.flush()
            (spot / "file").unlink()
            (spot / "file").write_bytes(b"another")
            file.write(b" and after")
            file.seek(0)
            return file.read()

    assert alice.do(work) == b"before and after"


def test_what_one_has_put_into_anothers_directory_is_theirs(
    mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    alice.do(lambda: spot.chmod(0o1777))
    bob.do(lambda: (spot / "bobs").write_text("from bob"))
    found = alice.do((spot / "bobs").stat)
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (bob.person.uid, 0o644)
    assert alice.do((spot / "bobs").read_text) == "from bob"
    alice.do(lambda: (spot / "alices").write_text("from alice"))
    assert bob.do(lambda: outcome((spot / "alices").unlink)) == "EPERM"  # the sticky bit
    assert bob.do(lambda: outcome(lambda: os.chown(spot / "bobs", alice.person.uid, -1))) == "EPERM"
    mounted.host.do(lambda: os.chown(spot / "bobs", alice.person.uid, -1))
    assert bob.do((spot / "bobs").stat).st_uid == alice.person.uid


def test_nothing_moves_or_is_linked_from_one_tree_to_another(
    machine: Host, mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    other = mounted.spot(bob, spot.name, 0o777)

    def attempts() -> list[object]:
        (spot / "file").touch()
        (spot / "file").chmod(0o666)
        return [
            outcome(lambda: os.link(spot / "file", other / "file")),
            outcome(lambda: os.rename(spot / "file", other / "file")),
            outcome(lambda: os.rename(spot, other / "directory")),
            outcome(lambda: os.rename(spot / "file", mounted.at / "hold" / "file")),
        ]

    assert alice.do(attempts)[:3] == ["EXDEV"] * 3
    assert machine.do(attempts) == ["EXDEV"] * 4
    alice.run("mv", str(spot / "file"), str(other / "moved"))  # as mv does it then: a copy
    assert bob.do((other / "moved").stat).st_uid == alice.person.uid


def test_a_copy_of_a_file_that_is_being_written_has_all_of_it(alice: Dweller, spot: Path) -> None:
    """What is written is in the kernel only, at first; to look for holes in it must not find one there."""

    def write() -> None:
        fd = os.open(spot / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 1 << 20)
        os.fsync(fd)
        os.pwrite(fd, b"x" * 5000, 4096)
        (spot / "written").touch()
        while (spot / "written").exists():
            pass

    writing = alice.start(write)
    while not alice.do((spot / "written").exists):
        assert writing.goes_on()
    alice.run("cp", "--sparse=auto", str(spot / "file"), str(spot / "copy"))
    alice.do((spot / "written").unlink)
    alice.host.result(writing)
    assert alice.do((spot / "copy").read_bytes)[4096:9096] == b"x" * 5000


def test_the_shell_s_tools_see_one_device_with_room_on_it(mounted: Mount, alice: Dweller, spot: Path) -> None:
    found = alice.do(lambda: os.statvfs(spot))
    assert found.f_bavail > 0 and found.f_namemax == 255
    assert len(alice.do(lambda: {os.stat(path).st_dev for path in (mounted.at, mounted.at / "ipfs", spot)})) == 1
    said = alice.run("find", str(spot), "-xdev", "-printf", "%y\n")
    assert said == b"d\n"


def test_a_directory_of_the_mount_is_shown_where_the_config_has_it(machine: Host, alice: Dweller) -> None:
    with mount(machine, f'hold = "{alice.directory}-shown"\n') as one:
        shown = Path(f"{alice.directory}-shown")
        try:
            alice.do(lambda: (one.of(alice) / "file").write_text("content"))
            assert alice.do((shown / "me" / "file").read_text) == "content"
            assert one.stop() == 0 and shown not in machine.mounts()
        finally:
            shown.rmdir()


def test_all_is_there_when_it_is_mounted_again(machine: Host, alice: Dweller) -> None:
    with mount(machine) as one:
        spot = one.spot(alice, "again")

        def make() -> dict[str, object]:
            (spot / "deep" / "er").mkdir(parents=True)
            (spot / "file").write_bytes(os.urandom(100_000))
            (spot / "link").symlink_to("file")
            os.link(spot / "file", spot / "deep" / "hard")
            os.setxattr(spot / "file", "user.name", b"value")
            return look(spot)

        before = alice.do(make)
        assert one.stop() == 0
        one.start()
        assert alice.do(lambda: look(spot)) == before
        assert alice.do(lambda: os.getxattr(spot / "file", "user.name")) == b"value"


def test_what_a_command_put_there_before_is_the_owners_in_a_mount_with_a_realm(machine: Host) -> None:
    first = machine.dweller("first")
    first.hold("mkdir", "/hold/me/dir")
    with mount(machine, 'realm = "family"\n') as one:
        top = one.of(first)

        def work() -> list[tuple[int, int]]:
            (top / "dir" / "new").write_bytes(b"")
            return [(path.lstat().st_uid, path.lstat().st_gid) for path in (top, top / "dir", top / "dir" / "new")]

        assert first.do(work) == [(first.person.uid, first.person.gid)] * 3
        first.hold("mkdir", "/hold/me/later")
        assert first.do(lambda: (top / "later").lstat().st_uid) == first.person.uid


# ── what is refused ──


def refused(machine: Host, directory: Path, **settings: object) -> str:
    """What `hold mount` says to a config that it does not take."""
    given = {"at": directory / "tree", "socket": directory / "agents.sock", "node": machine.node.socket}
    users = {"user": machine.worker.name, "public": machine.public.person.name}
    lines = [f'{name} = "{value}"\n' for name, value in (given | users | settings).items()]
    (directory / "mount.toml").write_text("".join(lines))
    words = [
        *machine.before,
        sys.executable,
        "-m",
        "tests.cli.hold",
        "mount",
        "--config",
        str(directory / "mount.toml"),
    ]
    done = subprocess.run(words, capture_output=True, check=False, timeout=SECONDS, env=machine.environment)
    assert done.returncode != 0 and done.stdout == b"", done
    return done.stderr.decode()


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hold-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_only_root_mounts(machine: Host, alice: Dweller) -> None:
    done = alice.hold("mount", "--at", str(alice.directory / "tree"), code=12)
    assert b"only root may mount" in done.stderr and b"E-DENIED" in done.stderr
    assert not (alice.directory / "tree").exists()


def test_a_mount_says_what_it_lacks(machine: Host, directory: Path) -> None:
    before = machine.mounts()
    assert "useradd" in refused(machine, directory, user="no-such-user")
    assert "useradd" in refused(machine, directory, public="no-such-user")
    assert "nothing: no such field" in refused(machine, directory, nothing="x")
    assert "at: not an absolute path" in refused(machine, directory, at="here")
    (directory / "file").touch()
    assert "E-NOT-A-DIRECTORY" in refused(machine, directory, at=directory / "file")
    assert "E-NOT-A-DIRECTORY" in refused(machine, directory, hold=directory / "file")
    assert machine.mounts() == before


def test_where_something_is_mounted_nothing_else_is(machine: Host, directory: Path) -> None:
    with mount(machine) as one:
        before = machine.mounts()
        assert "something is mounted there" in refused(machine, directory, at=one.at)
        assert "something is mounted there" in refused(machine, directory, at="/proc")
        assert "another daemon listens there" in refused(machine, directory, socket=one.socket)
        assert machine.mounts() == before
        assert machine.alice.do(lambda: os.listdir(one.at / "hold"))
