"""Making a repository: once, whole, durably, and where it was asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from commonhold.blockstore.store import Store, create
from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from tests.cli.shell import Shell, shell

__all__ = ["shell"]


@pytest.mark.parametrize("left", [[], ["segments/"], ["segments/", "format.json.new"]])
def test_what_an_interrupted_init_left_is_no_obstacle(shell: Shell, tmp_path: Path, left: list[str]) -> None:
    (tmp_path / ".hold").mkdir()
    for name in left:
        path = tmp_path / ".hold" / name
        path.mkdir() if name.endswith("/") else path.write_text("{")
    shell("hold init && hold verify")


@pytest.mark.parametrize("used", ["other", "segments/00000001"])
def test_a_directory_with_anything_else_in_it_is_refused(shell: Shell, tmp_path: Path, used: str) -> None:
    path = tmp_path / ".hold" / used
    path.parent.mkdir(parents=True)
    path.write_text("")
    done = shell("hold init", code=1)
    assert b"the directory is not empty\ntry: name another place with --repo\ncode: E-EXISTS" in done.stderr


def test_a_repository_is_not_made_twice(shell: Shell, tmp_path: Path) -> None:
    before = shell("hold init && cat .hold/format.json").stdout.split(b"\n", 1)[1]
    done = shell("hold init", code=1)
    assert b"try: use it as it is" in done.stderr and (tmp_path / ".hold/format.json").read_bytes() == before


def test_of_many_that_make_one_at_once_one_succeeds(shell: Shell) -> None:
    done = shell("for i in {1..8}; do { hold init && echo made >>made; } & done; wait; wc -l <made")
    assert done.stdout.split()[-1] == b"1" and done.stderr.count(b"E-EXISTS") == 7


def test_every_directory_made_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    really = disk.sync_directory

    def sync(path: str) -> None:
        synced.append(path)
        really(path)

    monkeypatch.setattr(disk, "sync_directory", sync)
    create(tmp_path / "a" / "b")
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")} <= set(synced)
    Store(tmp_path / "a" / "b").close()


def test_a_place_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HoldError) as caught:
        create(tmp_path / "file" / "repo")
    assert caught.value.kind is Kind.NOT_A_DIRECTORY


@pytest.mark.root
def test_a_working_directory_that_is_closed_to_us_is_no_obstacle(tmp_path: Path) -> None:
    """It is that of whoever has started us by `sudo -u`."""
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    look = "from commonhold.cli import opening; os.setuid(65534); print(opening._cwd(), [*opening.searched()][:0])"
    words = [sys.executable, "-c", f"import os; {look}"]  # the interpreter itself may be where only root comes
    said = subprocess.run(words, cwd=inner, env={"HOME": "/"}, capture_output=True, text=True, check=True)
    assert said.stdout == "None []\n"
