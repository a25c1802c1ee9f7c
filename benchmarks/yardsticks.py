"""The yardsticks: other programs that do the same work, or the part of it that nobody can avoid. Never durable by luck.

Each measures itself under its own name, and puts away what it wrote.
"""

import os
import sys
from pathlib import Path

from measuring import Failed
from stage import Stage

PACKAGES = {"restic": "restic", "borg": "borgbackup", "bindfs": "bindfs"}
_HASHING = str(Path(__file__).with_name("hashing.py"))


def copy_direct(stage: Stage, name: str, source: Path) -> None:
    """Copy by dd, past the page cache, and sync."""
    target = stage.directory / "dd.out"
    stage.measure(name, ["dd", f"if={source}", f"of={target}", "bs=32M", "oflag=direct", "conv=fsync"])
    if target.stat().st_size != source.stat().st_size:
        raise Failed("dd wrote less than there is")
    stage.clear(target)


def copy_tree(stage: Stage, name: str, source: Path) -> None:
    """Copy by cp -r, which syncs nothing."""
    target = stage.directory / "cp.out"
    stage.measure(name, ["cp", "-r", str(source), str(target)])
    stage.retire(target)


def copy_tree_synced(stage: Stage, name: str, source: Path) -> None:
    """Copy by cp -r, then sync the target's file system."""
    target = stage.directory / "cp.out"
    script = 'cp -r "$1" "$2" && sync -f "$2"'
    stage.measure(name, ["sh", "-c", script, "sh", str(source), str(target)])
    stage.retire(target)


def restic(stage: Stage, name: str, source: Path) -> None:
    """Back up into a new restic repository, without restic's cache."""
    if "restic" not in stage.tools:
        return
    repository = stage.directory / "restic"
    command = ["restic", "-r", str(repository), "--no-cache", "-q"]
    stage.prepare([*command, "init"])
    stage.measure(name, [*command, "backup", str(source)])
    stage.clear(repository)


def borg(stage: Stage, name: str, source: Path) -> None:
    """Back up into a new borg repository, unencrypted, compressed as borg does unless told otherwise (lz4)."""
    if "borg" not in stage.tools:
        return
    repository = stage.directory / "borg"
    stage.prepare(["borg", "init", "--encryption=none", str(repository)])
    stage.measure(name, ["borg", "create", f"{repository}::one", str(source)])
    stage.clear(repository)


def sha256(stage: Stage, name: str, source: Path, *, threads: int | None = None) -> None:
    """Read and hash, in so many threads, or one for every core."""
    count = threads or max(2, len(os.sched_getaffinity(0)))
    stage.measure(name, [sys.executable, "-I", "-S", _HASHING, str(source), str(count)])


def sha256_direct(stage: Stage, name: str, source: Path) -> None:
    """Read past the page cache and hash, in one thread."""
    stage.measure(name, [sys.executable, "-I", "-S", _HASHING, str(source), "1", "direct"])


def interpreter(stage: Stage, name: str) -> None:
    """Start Python and end it."""
    stage.measure(name, [sys.executable, "-I", "-c", "pass"])
