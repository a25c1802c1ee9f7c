"""Trees of any depth and any modes are removed, and nothing that they point at."""

import os
from pathlib import Path

import pytest

from commonhold.host.removing import remove_tree
from tests.host.people import descriptor, plain_user


def make_deep(root: Path, depth: int) -> None:
    """Directories in each other, beyond what any path can name."""
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("down", dir_fd=fd)
        below = os.open("down", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)


def test_a_tree_deeper_than_a_path_is_removed(tmp_path: Path) -> None:
    make_deep(tmp_path / "deep", 3000)
    with descriptor(tmp_path) as here:
        remove_tree(here, "deep")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o500, 0o300, 0])
def test_directories_that_refuse_their_owner_are_removed_by_an_ordinary_user(mode: int) -> None:
    with plain_user() as home, descriptor(home) as here:
        (home / "tree/sub/deeper").mkdir(parents=True)
        for name in ("tree/file", "tree/sub/file", "tree/sub/deeper/file"):
            (home / name).write_text("x")
        for name in ("tree/sub/deeper", "tree/sub", "tree"):
            os.chmod(home / name, mode)
        remove_tree(here, "tree")
        assert list(home.iterdir()) == []


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(kept)
    (tmp_path / "link").symlink_to(kept)
    with descriptor(tmp_path) as here:
        for name in ("tree", "link", "nothing there"):
            remove_tree(here, name)
    assert list(tmp_path.iterdir()) == [kept] and (kept / "file").exists()
