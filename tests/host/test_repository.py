"""The lock of a repository touches nothing but itself; the search passes every one on its way."""

import os
from pathlib import Path

import pytest

from commonhold.errors import HoldError
from commonhold.host.locked import unlocked
from commonhold.host.repository import MARKER, NAME, Lock, search


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(HoldError):
        Lock(tmp_path, "add")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_lock_that_nobody_has_is_free_and_stays_as_it_is(tmp_path: Path) -> None:
    with unlocked(tmp_path) as holder:
        assert holder is None and not (tmp_path / "lock").exists()
    (tmp_path / MARKER).write_text("{}")
    Lock(tmp_path, "add").release()
    with unlocked(tmp_path) as holder:
        assert holder is None
        with pytest.raises(HoldError):  # and nobody takes it meanwhile
            Lock(tmp_path, "add")


def test_whoever_has_a_lock_is_named_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    lock = Lock(tmp_path, "add something")
    with unlocked(tmp_path) as holder:
        assert holder is not None and str(os.getpid()) in holder and "hold add something" in holder
    with pytest.raises(HoldError):
        Lock(tmp_path, "add")
    lock.release()


def test_the_search_passes_every_repository_on_the_way_the_nearest_first(tmp_path: Path) -> None:
    deep = tmp_path / "work" / "deep"
    deep.mkdir(parents=True)
    for parent in (tmp_path, tmp_path / "work"):
        (parent / NAME).mkdir()
        (parent / NAME / MARKER).write_text("{}")
    (deep / NAME).symlink_to(tmp_path / NAME)
    found = list(search(deep, tmp_path, os.geteuid()))[:4]
    assert [(one.path.parent, one.why_not) for one in found] == [
        (deep, "a symbolic link"), (tmp_path / "work", None), (tmp_path, None), (tmp_path, None)
    ]  # fmt: skip
