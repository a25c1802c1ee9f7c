"""What is gathered from a machine is what is there; what never answers keeps nobody waiting."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host import observing

MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:27 / /home rw - nfs4 server:/home rw
31 30 0:28 / /home/alice/my\040disk rw shared:5 - tmpfs tmpfs rw
32 31 0:29 / /home/alice/my\040disk rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var", "ext4"), ("/homes", "ext4"), ("/home/bob", "nfs4"), ("/home/alice/my disk/.hold", "xfs")],
)
def test_a_path_is_on_the_nearest_mount_above_and_there_on_the_last(path: str, kind: str) -> None:
    assert observing.file_system_of(Path(path), MOUNTS) == kind


def test_without_mounts_the_file_system_is_unknown() -> None:
    assert observing.file_system_of(Path("/var"), "") is None


def test_a_look_gives_what_it_sees_or_raises() -> None:
    assert observing.within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        observing.within(5, lambda: 1 // 0)


def test_a_look_that_never_ends_is_given_up() -> None:
    never = threading.Event()
    began = time.monotonic()
    with pytest.raises(HoldError) as caught:
        observing.within(0.05, never.wait)
    never.set()
    assert caught.value.kind is Kind.UNREACHABLE and time.monotonic() - began < 15


def test_the_newest_file_of_a_repository_may_be_a_segment(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "1.seg").touch()
    os.utime(tmp_path / "segments" / "1.seg", (4e9, 4e9))
    assert observing.newest(tmp_path) == 4e9
    assert observing.newest(tmp_path / "missing") is None


def test_files_and_keys_are_seen_as_they_are(tmp_path: Path) -> None:
    assert observing.entry(tmp_path / "missing") is None and observing.secret_files(tmp_path) == []
    (tmp_path / "keys").mkdir(0o750)
    (tmp_path / "keys" / "a.pem").symlink_to("b.pem")
    (directory, status, kind), (link, its_status, its_kind) = observing.secret_files(tmp_path)
    assert stat.S_IMODE(status.st_mode) == 0o750 and kind == stat.S_IFDIR and directory == tmp_path / "keys"
    assert stat.S_ISLNK(its_status.st_mode) and its_kind == stat.S_IFREG and link.name == "a.pem"
    assert [one.path for one in observing.own_files(tmp_path)] == [tmp_path, tmp_path / "keys"]


def test_keys_that_are_no_directory_are_seen_too(tmp_path: Path) -> None:
    (tmp_path / "keys").symlink_to("/")
    assert len(observing.secret_files(tmp_path)) == 1


def test_space_is_what_the_system_says(tmp_path: Path) -> None:
    found = observing.space(tmp_path)
    assert 0 <= found.free <= found.size and found.free_inodes <= found.inodes and not found.read_only


@pytest.mark.parametrize(
    ("program", "kept"),
    [("echo yes", True), ("echo no", False), ("echo broken >&2; exit 1", None), ("exec sleep 60", None)],
)
def test_the_clock_is_as_the_service_manager_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, kept: bool | None
) -> None:
    (tmp_path / "timedatectl").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "timedatectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if "sleep" in program:
        monkeypatch.setattr(observing, "_CLOCK_SECONDS", 0.5)
    assert observing.clock_is_kept() is kept


def test_a_machine_without_a_service_manager_says_nothing_of_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert observing.clock_is_kept() is None
