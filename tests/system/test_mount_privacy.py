"""A mount among users who do not trust each other: modes hold, through the mount and around it."""

import contextlib
import os
import select
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from commonhold.host import sockets
from commonhold.ipc.treeframes import Incoming, head
from commonhold.ipc.treewords import BY_NUMBER, HELLO, NOTICE, PROTOCOL, Hello, encode
from tests.system.beside import outcome, renamed
from tests.system.mounts import Dweller, Host, Mount
from tests.system.people import Doing

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
    pytest.mark.usefixtures("watched"),
]
SECRET = b"what bob must not see"


def put(path: Path, mode: int, content: bytes = SECRET) -> None:
    """Make a file."""
    path.write_bytes(content)
    path.chmod(mode)


def attempts(path: Path) -> dict[str, object]:
    """What comes of everything that could be done to a file."""

    def truncated() -> None:
        os.truncate(path, 0)

    return {
        name: outcome(attempt)
        for name, attempt in {
            "read": path.read_bytes,
            "write": lambda: os.close(os.open(path, os.O_WRONLY)),
            "truncate": truncated,
            "chmod": lambda: path.chmod(0o777),
            "chown": lambda: os.chown(path, os.getuid(), -1),
            "times": lambda: os.utime(path, ns=(1, 1)),
            "attribute": lambda: os.setxattr(path, "user.x", b"x"),
            "unlink": path.unlink,
            "rename": lambda: path.rename(path.with_name("taken")),
        }.items()
    }


# ── modes ──


def test_a_new_tree_is_its_owners_alone(mounted: Mount, machine: Host) -> None:
    carol = machine.dweller("carol")
    tree = mounted.of(carol)
    carol.do(lambda: put(tree / "file", 0o644))
    found = carol.do(tree.stat)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, carol.person.uid)
    assert set(machine.bob.do(lambda: attempts(tree / "file")).values()) == {"EACCES"}
    assert machine.bob.do(lambda: outcome(lambda: os.listdir(tree))) == "EACCES"
    assert machine.bob.do(lambda: outcome((tree / "no such file").stat)) == "EACCES"  # not even what is not there


@pytest.mark.parametrize(("mode", "read", "write"), [(0o600, "EACCES", "EACCES"), (0o644, SECRET, "EACCES")])
def test_a_file_is_to_others_what_its_mode_says(
    alice: Dweller, bob: Dweller, spot: Path, mode: int, read: object, write: object
) -> None:
    alice.do(lambda: put(spot / "file", mode))
    came = bob.do(lambda: attempts(spot / "file"))
    assert (came.pop("read"), came.pop("write")) == (read, write)
    assert came == {
        "truncate": "EACCES", "chmod": "EPERM", "chown": "EPERM", "times": "EPERM", "attribute": "EACCES",
        "unlink": "EACCES", "rename": "EACCES",
    }  # fmt: skip
    assert alice.do((spot / "file").read_bytes) == SECRET


def test_a_group_reads_what_its_members_may(machine: Host, alice: Dweller, bob: Dweller, spot: Path) -> None:
    def make() -> int:
        put(spot / "file", 0o640)
        shared = next(gid for gid in os.getgroups() if gid != alice.person.gid)
        os.chown(spot / "file", -1, shared)
        return shared

    gid = alice.do(make)
    assert alice.do((spot / "file").stat).st_gid == gid
    assert bob.do((spot / "file").read_bytes) == SECRET
    assert machine.do_as(machine.worker, lambda: outcome((spot / "file").read_bytes)) == "EACCES"


def test_root_and_services_read_what_modes_allow_without_a_word_in_fuse_conf(
    machine: Host, mounted: Mount, alice: Dweller, spot: Path
) -> None:
    conf = Path("/etc/fuse.conf")
    assert not conf.exists() or "\nuser_allow_other" not in "\n" + conf.read_text()
    alice.do(lambda: put(spot / "page", 0o644))
    alice.do(lambda: put(spot / "diary", 0o600))
    service = machine.worker  # not even one who may use the node
    assert machine.do_as(service, (spot / "page").read_bytes) == SECRET
    assert machine.do_as(service, lambda: outcome((spot / "diary").read_bytes)) == "EACCES"
    assert machine.do(lambda: [(spot / name).read_bytes() for name in ("page", "diary")]) == [SECRET] * 2


def test_a_mode_that_changes_holds_at_once_for_who_was_there_before(alice: Dweller, bob: Dweller, spot: Path) -> None:
    alice.do(lambda: (spot / "room").mkdir())
    alice.do(lambda: put(spot / "room" / "file", 0o644))
    alice.do(lambda: (spot / "told").touch())

    def stay() -> list[object]:
        os.chdir(spot / "room")
        came = [outcome(Path("file").read_bytes)]
        (bob.directory / "in").touch()
        while (spot / "told").exists():
            time.sleep(0.005)
        return [*came, outcome(Path("file").read_bytes), outcome(lambda: os.listdir(".")), outcome(Path("file").stat)]

    staying = bob.start(stay)
    while not (bob.directory / "in").exists():
        time.sleep(0.005)
    alice.do(lambda: (spot / "room").chmod(0o700))
    alice.do((spot / "told").unlink)
    assert alice.host.result(staying) == [SECRET, "EACCES", "EACCES", "EACCES"]


# ── who is who ──


def test_one_process_that_is_several_users_in_turn_is_led_to_each_ones_tree(
    machine: Host, mounted: Mount, alice: Dweller, bob: Dweller
) -> None:
    me = mounted.at / "hold" / "me"

    def follow() -> set[tuple[int, str, int]]:
        seen = set()
        for number in range(200):
            uid = (alice, bob)[number % 2].person.uid
            os.seteuid(uid)
            seen.add((uid, os.readlink(me), me.stat().st_uid))
            os.seteuid(0)
        return seen

    uids = {one: one.person.uid for one in (alice, bob)}
    assert machine.do(follow) == {(uid, one.person.name, uid) for one, uid in uids.items()}


def test_root_of_a_namespace_of_their_own_is_nobody_special(
    machine: Host, mounted: Mount, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    alice.do(lambda: put(spot / "diary", 0o600))
    alice.do(lambda: put(spot / "page", 0o644))
    alice.do(lambda: spot.chmod(0o777))

    def work() -> list[object]:
        came = [outcome((spot / "page").read_bytes), os.readlink(mounted.at / "hold" / "me")]
        came += [*attempts(spot / "diary").values()][:7]
        (spot / "bobs").write_bytes(b"")
        came.append(outcome(lambda: os.chown(spot / "bobs", 1, 1)))
        came.append(outcome(lambda: os.mknod(spot / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))))
        came.append(outcome(lambda: os.setxattr(spot / "bobs", "trusted.x", b"x")))
        return came

    came = machine.result(Doing(bob.become_unshared, work))
    assert came[:2] == [SECRET, bob.person.name]
    assert came[2:] == ["EACCES", "EACCES", "EACCES", "EPERM", "EPERM", "EPERM", "EACCES", "EINVAL", "EPERM", "EPERM"]
    assert alice.do((spot / "bobs").stat).st_uid == bob.person.uid


def test_who_is_in_no_user_database_owns_nothing(machine: Host, mounted: Mount, alice: Dweller, spot: Path) -> None:
    alice.do(lambda: spot.chmod(0o1777))
    alice.do(lambda: put(spot / "page", 0o644))

    def become() -> None:
        machine.enter()
        os.setgroups([])
        os.setresgid(54321, 54321, 54321)
        os.setresuid(54321, 54321, 54321)

    def work() -> list[object]:
        return [
            outcome((spot / "page").read_bytes),
            outcome(lambda: os.readlink(mounted.at / "hold" / "me")),
            outcome((spot / "file").touch),
            outcome((spot / "directory").mkdir),
        ]

    assert machine.result(Doing(become, work)) == [SECRET, "ENOENT", "EOVERFLOW", "EOVERFLOW"]
    assert machine.do(lambda: outcome(lambda: os.chown(spot / "page", 54321, -1))) == "EINVAL"
    assert alice.do((spot / "page").stat).st_uid == alice.person.uid


# ── what programs could be made of ──


def test_a_program_that_is_somebody_elses_runs_as_who_runs_it(machine: Host, bob: Dweller, spot: Path) -> None:
    def plant() -> None:
        shutil.copyfile("/usr/bin/id", spot / "id")
        os.chown(spot / "id", 0, 0)
        (spot / "id").chmod(0o6755)

    machine.do(plant)
    assert bob.run(str(spot / "id"), "-u").decode().strip() == str(bob.person.uid)
    assert bob.run(str(spot / "id"), "-g").decode().strip() == str(bob.person.gid)
    refused = machine.do(lambda: outcome(lambda: os.setxattr(spot / "id", "security.capability", bytes(20))))
    assert refused in ("EOPNOTSUPP", "EINVAL", "EPERM")


def test_a_device_is_none(machine: Host, alice: Dweller, spot: Path) -> None:
    device = os.stat("/").st_dev

    def plant() -> list[object]:
        null = outcome(lambda: os.mknod(spot / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3)))
        disk = outcome(lambda: os.mknod(spot / "disk", stat.S_IFBLK | 0o666, device))
        return [null, disk]

    assert alice.do(plant) == ["EPERM"] * 2
    machine.do(plant)
    for name in ("null", "disk"):
        for whose in (alice.do, machine.do):
            came = whose(lambda name=name: outcome(lambda: os.open(spot / name, os.O_RDONLY)))  # type: ignore[misc]
            assert came in ("EACCES", "ENOENT")


# ── races ──


def test_what_changes_places_with_something_open_to_all_does_not_come_open(
    machine: Host, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    def make() -> None:
        for name, mode, content in (("open", 0o755, b"public"), ("closed", 0o700, SECRET)):
            (spot / name).mkdir()
            put(spot / name / "file", 0o644, content)
            (spot / name).chmod(mode)

    def swap() -> None:
        for _ in range(1500):
            renamed(spot / "open", spot / "closed", 2)

    def look() -> set[object]:
        seen: set[object] = set()
        while not (bob.directory / "enough").exists():
            seen |= {outcome((spot / name / "file").read_bytes) for name in ("open", "closed")}
        return seen

    alice.do(make)
    looking = bob.start(look)
    alice.do(swap)
    (bob.directory / "enough").touch()
    assert machine.result(looking) == {b"public", "EACCES"}


def test_who_follows_no_links_is_led_nowhere_by_a_name_that_changes(
    machine: Host, alice: Dweller, bob: Dweller, spot: Path
) -> None:
    alice.do(lambda: put(spot / "diary", 0o600))
    alice.do(lambda: spot.chmod(0o777))
    name = spot / "name"

    def trick() -> None:
        for _ in range(500):
            (spot / "new").symlink_to(spot / "diary")
            (spot / "new").rename(name)
            (spot / "new").write_bytes(b"bobs")
            (spot / "new").rename(name)

    def look() -> set[object]:
        def read() -> bytes:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                return os.read(fd, 100)
            finally:
                os.close(fd)

        seen: set[object] = set()
        while not (bob.directory / "tricked").exists():
            seen.add(outcome(read))
        return seen

    looking = Doing(machine.enter, look)  # as root, who could read the diary
    bob.do(trick)
    (bob.directory / "tricked").touch()
    assert machine.result(looking) <= {b"bobs", "ELOOP", "ENOENT"}


def test_a_file_of_anothers_is_not_kept_by_a_link(mounted: Mount, alice: Dweller, bob: Dweller, spot: Path) -> None:
    mine = mounted.spot(bob, spot.name, 0o777)
    alice.do(lambda: spot.chmod(0o777))
    alice.do(lambda: put(spot / "diary", 0o600))
    alice.do(lambda: put(spot / "open", 0o666))
    assert bob.do(lambda: outcome(lambda: os.link(spot / "open", mine / "kept"))) == "EXDEV"
    assert bob.do(lambda: outcome(lambda: os.link(spot / "diary", mine / "kept"))) in ("EXDEV", "EPERM")
    if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1":
        assert bob.do(lambda: outcome(lambda: os.link(spot / "diary", spot / "kept"))) == "EPERM"
        assert bob.do(lambda: outcome((spot / "diary").read_bytes)) == "EACCES"


# ── around the mount ──


def frames(path: Path, seconds: float) -> list[tuple[int, bytes]]:
    """The calls, and what they are given, that an agent of the caller's is sent which says hello and answers nothing;
    none where nobody listens to it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sockets.connect(sock, path)
        sock.settimeout(seconds)
        incoming = Incoming()
        came: list[tuple[int, bytes]] = []
        with contextlib.suppress(OSError):
            sock.sendall(head(NOTICE, HELLO, 0, 0, encode(Hello(PROTOCOL, "0")), 0))
            stop = time.monotonic() + seconds
            while time.monotonic() < stop and incoming.fill(sock):
                came += [(frame.code, bytes(frame.body)) for frame in incoming.frames()]
        return came


def test_who_says_to_be_an_agent_is_asked_for_their_own_tree_alone(
    machine: Host, mounted: Mount, alice: Dweller, spot: Path
) -> None:
    eve = machine.dweller("eve")
    listening = eve.start(lambda: frames(mounted.socket, 3))
    for number in range(20):
        alice.do(lambda number=number: put(spot / f"file{number}", 0o644))  # type: ignore[misc]
    came = machine.result(listening)
    assert [code for code, _ in came] == [HELLO] and alice.person.name.encode() not in came[0][1]

    listening = eve.start(lambda: frames(mounted.socket, 3))
    asked = outcome_within(machine, alice, mounted.of(eve))
    came = machine.result(listening)
    assert asked == "EIO" and {BY_NUMBER[code].name for code, _ in came[1:]} == {"attr"}


def outcome_within(machine: Host, whose: Dweller, path: Path) -> object:
    """What comes of a look, a moment from now."""

    def look() -> object:
        time.sleep(0.5)
        return outcome(path.stat)

    return machine.result(whose.start(look))


def test_a_second_agent_of_one_user_and_one_of_no_user_are_sent_away(
    machine: Host, mounted: Mount, bob: Dweller
) -> None:
    bob.do(lambda: os.listdir(mounted.of(bob)))
    assert bob.do(lambda: frames(mounted.socket, 2)) == []
    assert machine.result(Doing(bob.become_unshared, lambda: frames(mounted.socket, 2))) == []
    assert bob.do(lambda: os.listdir(mounted.of(bob))) is not None


def test_a_crowd_at_the_mounts_door_keeps_nobodys_agent_out(machine: Host, mounted: Mount, bob: Dweller) -> None:
    mallory = machine.dweller("mallory")

    def crowd() -> None:
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(300)]
        for one in waiting:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(str(mounted.socket))
        (mallory.directory / "there").touch()
        select.select([], [], [], 5)

    crowding = mallory.start(crowd)
    while not (mallory.directory / "there").exists():
        assert crowding.goes_on()
    bob.end()  # the agent, too, which has to come again
    assert bob.do(lambda: os.listdir(mounted.of(bob))) is not None
    assert crowding.goes_on()
    machine.result(crowding)


def test_the_mounts_processes_are_closed_to_users(machine: Host, mounted: Mount, bob: Dweller) -> None:
    bob.do(lambda: os.listdir(mounted.of(bob)))

    def reach() -> list[object]:
        came: list[object] = []
        for pid in (mounted.worker(), mounted.process.pid):
            came += [outcome(lambda pid=pid: os.listdir(f"/proc/{pid}/fd"))]  # type: ignore[misc]
            came += [outcome(lambda pid=pid: os.open(f"/proc/{pid}/mem", os.O_RDONLY))]  # type: ignore[misc]
            came += [outcome(lambda pid=pid: os.kill(pid, 0))]  # type: ignore[misc]
        return came

    assert bob.do(reach) == ["EACCES", "EACCES", "EPERM"] * 2
    assert machine.do_as(machine.worker, reach)[:2] == ["EACCES"] * 2  # nor to another process of the worker's user
    assert machine.do_as(machine.worker, reach)[3:] == ["EACCES", "EACCES", "EPERM"]
    assert bob.do(lambda: outcome(mounted.socket.unlink)) == "EACCES"


def test_what_a_tree_is_made_of_is_its_owners_alone(machine: Host, mounted: Mount, alice: Dweller, spot: Path) -> None:
    mark = os.urandom(16).hex().encode()
    alice.do(lambda: put(spot / "file", 0o600, mark * (2 << 20 >> 5)))
    alice.run("sync", str(spot / "file"))
    own = [alice.state, *alice.state.rglob("*")]
    assert {path.lstat().st_mode & 0o077 for path in own if not path.is_symlink()} == {0}
    kept = [path for path in machine.node.repository.rglob("*") if path.is_file()]
    assert subprocess.run(["grep", "-l", "-F", mark, *map(str, kept)], check=False, capture_output=True).stdout == b""
    for name in ("volume.sqlite", "agent.sock"):
        assert machine.bob.do(lambda name=name: outcome((alice.state / name).stat)) == "EACCES"  # type: ignore[misc]
