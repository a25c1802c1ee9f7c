"""Run as a user of a mount, with the number of the visit: files are made, found and changed, and found again."""

import mmap
import os
import pwd
import sys
from pathlib import Path

KEPT = Path("/hold/me/kept")


def first(name: str) -> None:
    """Make files of each kind, as programs do."""
    KEPT.mkdir()
    note = KEPT / "note"
    note.write_text(f"{name}'s\n")
    note.chmod(0o600)
    (KEPT / "link").symlink_to("note")
    os.link(note, KEPT / "again")
    assert (KEPT / "link").read_text() == f"{name}'s\n" and note.stat().st_nlink == 2
    assert note.stat().st_uid == os.getuid()


def second(_: str) -> None:
    """Write in more than one way, with and without a sync, shortly before it is unmounted."""
    (KEPT / "large").write_bytes(bytes(range(256)) * 20_000)
    with open(KEPT / "mapped", "w+b") as file:
        file.truncate(8192)
        with mmap.mmap(file.fileno(), 8192) as memory:
            memory[5000:5004] = b"here"
    (KEPT / "again").rename(KEPT / "moved")


def third(name: str) -> None:
    """All of it is there."""
    assert (KEPT / "large").read_bytes() == bytes(range(256)) * 20_000
    assert (KEPT / "mapped").read_bytes()[5000:5004] == b"here"
    assert (KEPT / "moved").read_text() == f"{name}'s\n"
    assert sorted(one.name for one in KEPT.iterdir()) == ["large", "link", "mapped", "moved", "note"]


if __name__ == "__main__":
    {"1": first, "2": second, "3": third}[sys.argv[1]](pwd.getpwuid(os.getuid()).pw_name)
