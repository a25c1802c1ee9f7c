"""Every finding about a machine and a repository's files, from what was seen, in both directions."""

import os
import stat
from pathlib import Path

import pytest

from commonhold.host import health
from commonhold.host.health import Entry, Finding, Shown, Space, Status
from commonhold.host.mounted import Mounted
from commonhold.host.repository import Candidate, Choice
from commonhold.host.units import Drift

NOW = 1_800_000_000.0
GIB = 1 << 30
REPO = Path("/home/alice/.hold")
CHOICE = Choice(REPO, "in the home directory")
SYSTEM = Candidate(Path("/var/lib/commonhold"), "the system's", None)


def judged(found: Finding | list[Finding]) -> list[tuple[str, str]]:
    """Status and remedy of each; what is wrong has a remedy, what is right has none."""
    findings = [found] if isinstance(found, Finding) else found
    for one in findings:
        assert (one.remedy is None) == (one.status is Status.OK) and one.said
    return [(one.status.value, one.remedy or "") for one in findings]


@pytest.mark.parametrize(
    ("built", "newest", "kept", "status"),
    [
        (NOW - 9, NOW - 5, True, "OK"),
        (NOW + 60, NOW + 60, None, "OK"),  # two clocks may be a little apart
        (NOW - 9, None, None, "OK"),
        (NOW - 9, None, False, "WARN"),
        (NOW - 9, NOW + 300, True, "WARN"),
        (NOW + 300, None, True, "FAIL"),
        (NOW - 9 - 4e9, None, True, "OK"),
    ],
)
def test_a_clock_is_after_what_was_made(built: float, newest: float | None, kept: bool | None, status: str) -> None:
    assert judged(health.clock(NOW, built, newest, kept))[0][0] == status


def test_a_clock_of_the_next_century_is_wrong() -> None:
    assert judged(health.clock(NOW * 3, NOW, None, True)) == [("FAIL", "sudo timedatectl set-ntp true")]


def test_what_is_passed_over_and_what_is_hidden_is_named() -> None:
    stranger = (Path("/tmp/.hold"), "owned by uid 12, not by you or root")
    choice = Choice(REPO, "in the home directory", (stranger,))
    passed = Candidate(*stranger[:1], "found above the working directory", stranger[1])
    others = [passed, Candidate(REPO, CHOICE.why, None), Candidate(REPO, CHOICE.why, None), SYSTEM]
    assert judged(health.repository(choice, others, True, 1000, 1000)) == [
        ("OK", ""),
        ("WARN", "ls -ld /tmp/.hold"),
        ("WARN", "hold --repo /var/lib/commonhold status"),
    ]


def test_a_repository_that_was_named_hides_nothing() -> None:
    choice = Choice(Path("/srv/it"), "--repo")
    assert judged(health.repository(choice, [Candidate(REPO, "", None), SYSTEM], True, 0, 1000)) == [("OK", "")]


def test_a_named_repository_may_be_none_or_a_strangers() -> None:
    choice = Choice(Path("/srv/my it"), "--repo")
    assert judged(health.repository(choice, [], False, None, 1000)) == [("FAIL", "hold --repo '/srv/my it' init")]
    assert judged(health.repository(choice, [], True, 12, 1000)) == [("WARN", "ls -ld '/srv/my it'")]


def test_a_closed_directory_fails() -> None:
    assert judged(health.closed(REPO)) == [("FAIL", f"ls -ld {REPO}")]


DIRECTORY = Entry(REPO, stat.S_IFDIR | 0o700, 1000)
FORMAT = Entry(REPO / "format.json", stat.S_IFREG | 0o600, 1000)


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([DIRECTORY, FORMAT], []),
        ([DIRECTORY, Entry(REPO / "reuse.sqlite", stat.S_IFREG | 0o644, 1000)], []),
        ([DIRECTORY, Entry(REPO / "node.sock", stat.S_IFSOCK | 0o666, 0)], []),
        ([Entry(REPO, stat.S_IFDIR | 0o755, 1000)], [("WARN", f"chmod 700 {REPO}")]),
        ([Entry(REPO, stat.S_IFDIR | 0o770, 1000)], [("FAIL", f"chmod 700 {REPO}")]),
        (
            [DIRECTORY, Entry(FORMAT.path, stat.S_IFREG | 0o640, 1000)],
            [("WARN", f"chmod 600 {REPO}/format.json")],
        ),
        ([DIRECTORY, Entry(REPO / "lock", stat.S_IFREG | 0o602, 1000)], [("FAIL", f"chmod 600 {REPO}/lock")]),
        ([DIRECTORY, Entry(REPO / "index", stat.S_IFDIR | 0o700, 0)], [("FAIL", f"sudo chown -R 1000 {REPO}")]),
        ([DIRECTORY, Entry(REPO / "index", stat.S_IFLNK | 0o777, 1000)], [("WARN", f"ls -ld {REPO}/index")]),
    ],
)
def test_the_repositorys_files_are_its_owners(entries: list[Entry], wrong: list[tuple[str, str]]) -> None:
    assert judged(health.files(entries)) == (wrong or [("OK", "")])


def test_keys_are_their_owners_only(tmp_path: Path) -> None:
    key = tmp_path / "a.pem"
    key.touch(0o600)
    uid = os.geteuid()
    assert judged(health.secrets([], uid)) == [("OK", "")]
    assert judged(health.secrets([(key, key.lstat(), stat.S_IFREG)], uid)) == [("OK", "")]
    assert judged(health.secrets([(key, key.lstat(), stat.S_IFREG)], uid + 1)) == [("FAIL", f"chown {uid + 1} {key}")]
    key.chmod(0o640)
    assert judged(health.secrets([(key, key.lstat(), stat.S_IFREG)], uid)) == [("FAIL", f"chmod 600 {key}")]


@pytest.mark.parametrize(
    ("mode", "uid", "status"), [(0o640, 0, "OK"), (0o644, 0, "FAIL"), (0o642, 0, "FAIL"), (0o640, 1000, "FAIL")]
)
def test_a_config_is_roots_and_not_everybodys_to_read(mode: int, uid: int, status: str) -> None:
    assert judged(health.config(Entry(Path("/etc/commonhold/node.toml"), stat.S_IFREG | mode, uid)))[0][0] == status


def test_a_host_without_a_node_has_no_config_to_judge() -> None:
    assert health.config(None) == []


def test_a_lock_is_said_to_be_in_the_way_unless_a_node_has_it() -> None:
    path = REPO / "lock"
    assert judged(health.lock(None, path, served=False)) == [("OK", "")]
    assert judged(health.lock("process 7", path, served=True)) == [("OK", "")]
    assert judged(health.lock("process 7", path, served=False)) == [("WARN", f"fuser -v {path}")]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Space(50 * GIB, 100 * GIB, 900, 1000, read_only=False), [("OK", "")]),
        (Space(50 * GIB, 100 * GIB, 0, 0, read_only=False), [("OK", "")]),  # no count of inodes: btrfs
        (Space(9 * GIB, 100 * GIB, 900, 1000, read_only=False), [("WARN", "hold gc")]),
        (Space(GIB - 1, 2 * GIB, 900, 1000, read_only=False), [("WARN", "hold gc")]),
        (Space(64 << 20, GIB, 900, 1000, read_only=False), [("WARN", "hold gc")]),
        (Space((64 << 20) - 1, GIB, 900, 1000, read_only=False), [("FAIL", "hold gc")]),
        (Space(0, 0, 0, 0, read_only=False), [("FAIL", "hold gc")]),
        (Space(50 * GIB, 100 * GIB, 99, 1000, read_only=False), [("WARN", f"df -i {REPO}")]),
        (Space(50 * GIB, 100 * GIB, 63, 100, read_only=False), [("FAIL", f"df -i {REPO}")]),
        (
            Space(50 * GIB, 100 * GIB, 900, 1000, read_only=True),
            [("FAIL", f"sudo mount -o remount,rw $(stat -c %m {REPO})")],
        ),
    ],
)
def test_a_disk_has_room(space: Space, expected: list[tuple[str, str]]) -> None:
    assert judged(health.disk(space, REPO)) == expected


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("ext4", "OK", ""),
        ("btrfs", "OK", ""),
        ("tmpfs", "WARN", "restart"),
        ("overlay", "WARN", "container"),
        ("nfs4", "WARN", "locks"),
        ("fuse.sshfs", "WARN", "locks"),
        ("vfat", "WARN", "holes"),
        (None, "WARN", "unknown"),
    ],
)
def test_a_file_system_stays_locks_and_has_holes(kind: str | None, status: str, word: str) -> None:
    found = health.file_system(kind, REPO)
    assert judged(found)[0][0] == status and word in found.said


def test_units_are_this_versions_or_none() -> None:
    none, there = Drift("a.service", None), Drift("a.service", Path("/usr/lib/systemd/system/a.service"))
    assert judged(health.units([none, none])) == [("OK", "")]
    assert judged(health.units([there])) == [("OK", "")]
    assert judged(health.units([there, none])) == [("WARN", "sudo apt-get install --reinstall commonhold")]


def test_a_unit_that_differs_is_reverted_or_installed_again() -> None:
    local = Drift("a.service", Path("/etc/systemd/system/a.service"), added=("[Service] ProtectHome=no",))
    older = Drift("a.service", Path("/usr/lib/systemd/system/a.service"), missing=("[Service] ProtectHome=yes",))
    assert judged(health.units([local])) == [("WARN", "sudo systemctl revert a.service")]
    assert judged(health.units([older])) == [("WARN", "sudo apt-get install --reinstall commonhold")]
    assert "+[Service] ProtectHome=no" in health.units([local])[0].said
    assert "-[Service] ProtectHome=yes" in health.units([older])[0].said


def test_drop_ins_are_named_and_not_judged() -> None:
    drop_in = Path("/etc/systemd/system/a.service.d/b.conf")
    found = health.units([Drift("a.service", Path("/usr/lib/systemd/system/a.service"), drop_ins=(drop_in,))])
    assert judged(found) == [("OK", "")] and str(drop_in) in found[0].said


@pytest.mark.parametrize(
    ("found", "enabled", "judgement"),
    [
        ([], False, ("OK", "")),
        ([], True, ("FAIL", "systemctl status commonhold-mount")),
        ([("1.0", None)], True, ("OK", "")),
        ([("1.0", None)], False, ("OK", "")),
        ([("0.9", None)], True, ("WARN", "sudo systemctl restart commonhold-mount")),
        ([("1.0", "Transport endpoint is not connected")], True, ("FAIL", "sudo systemctl restart commonhold-mount")),
        ([("1.0", "no answer within 3 s")], False, ("FAIL", "sudo hold mount --off")),
    ],
)
def test_a_mount_answers_and_is_of_this_version(
    found: list[tuple[str, str | None]], enabled: bool, judgement: tuple[str, str]
) -> None:
    seen = [Shown(Mounted(Path("/hold"), "/hold", version), why) for version, why in found]
    assert judged(health.mount(seen, enabled, "1.0")) == [judgement]
