"""What is new gets its name when it is whole, and never at the cost of what has that name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host.placing import new_file, placed, rename_by_link, rename_new
from tests.host.people import descriptor

KINDS = ["file", "link", "directory"]


def make(kind: str, path: Path) -> None:
    if kind == "file":
        path.write_text("new")
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
        if kind == "directory":
            (path / "new").write_text("new")


@pytest.mark.parametrize("rename", [rename_new, rename_by_link])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rename_to_a_free_name_moves(tmp_path: Path, rename: Callable[[int, str, str], None], kind: str) -> None:
    make(kind, tmp_path / "old")
    inode = (tmp_path / "old").lstat().st_ino
    with descriptor(tmp_path) as here:
        rename(here, "old", "new")
    assert [(path.name, path.lstat().st_ino) for path in tmp_path.iterdir()] == [("new", inode)]


@pytest.mark.parametrize("rename", [rename_new, rename_by_link])
@pytest.mark.parametrize("there", [*KINDS, "empty directory"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rename_to_a_name_in_use_changes_nothing(
    tmp_path: Path, rename: Callable[[int, str, str], None], kind: str, there: str
) -> None:
    make(kind, tmp_path / "old")
    make(there, tmp_path / "new")
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    with descriptor(tmp_path) as here, pytest.raises(FileExistsError):
        rename(here, "old", "new")
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["é" * 127, "\udcff\n", "trailing/", "b" * 255])
def test_any_name_a_file_system_takes_is_good(tmp_path: Path, name: str) -> None:
    with new_file("get", f"{tmp_path}/{name}") as sink:
        sink.write(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole" and len(list(tmp_path.iterdir())) == 1


def test_a_place_is_found_by_links_as_the_kernel_finds_it(tmp_path: Path) -> None:
    (tmp_path / "far/sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/sub")
    with new_file("get", f"{tmp_path}/link/../it"):
        pass
    assert (tmp_path / "far/it").exists()


@pytest.mark.parametrize("target", ["", ".", "..", "/", "///", "missing/..", "missing/.", "missing/it", "file/it"])
def test_what_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(HoldError), new_file("get", target):
        pytest.fail("began all the same")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_appears_meanwhile_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    with pytest.raises(HoldError) as caught, new_file("export", f"{tmp_path}/it") as sink:
        sink.write(b"new")
        (tmp_path / "it").write_text("old")
    assert caught.value.kind is Kind.EXISTS and caught.value.op == "export"
    assert [path.name for path in tmp_path.iterdir()] == ["it"] and (tmp_path / "it").read_text() == "old"


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    def lose(fd: int) -> None:  # a descriptor that is gone: no call works any more
        os.dup2(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), fd)

    class Ended(BaseException):
        """Something that ends a command."""

    for error in (Ended(), HoldError("get", Kind.CORRUPT, "block", "is wrong", hint="hold verify")):
        with pytest.raises(type(error)) as caught, placed("get", f"{tmp_path}/it") as place:
            os.mkdir(place.partial, dir_fd=place.directory)
            lose(place.directory)
            raise error
        told = [str(caught.value), *getattr(caught.value, "__notes__", [])]
        assert str(tmp_path / place.partial) in " ".join(told) and (tmp_path / place.partial).is_dir()
