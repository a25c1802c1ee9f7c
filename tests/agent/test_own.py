"""Whose a tree is: of who made it, and of the realm that its host has come to have."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.agent.own import Own
from commonhold.blockstore.store import Store, create
from commonhold.trees import ROOT

NAME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    create(tmp_path / "store")
    (tmp_path / "state").mkdir(mode=0o700)
    store = Store(tmp_path / "store")
    found = Own(tmp_path / "state", Path("/node"), store, os.geteuid())
    yield found
    found.close()
    store.close()


@pytest.mark.parametrize("opened", [True, False])
def test_a_tree_that_a_command_made_is_of_the_realm_of_the_mount_that_comes_later(own: Own, opened: bool) -> None:
    assert own.who().owner == f"{NAME}@local"
    own.volume().make(ROOT, b"file", 0o100644, 0, b"", own.who(), True)
    if not opened:
        own.close()
    volume = own.volume(f"{NAME}@family")
    assert volume.attr(ROOT).owner == volume.lookup(ROOT, b"file").owner == f"{NAME}@family"
    assert own.who().owner == f"{NAME}@family" and own.who().group.endswith("@family")
    assert own.volume(f"{NAME}@elsewhere").attr(ROOT).owner == f"{NAME}@family"
    assert own.volume(f"{NAME}@local").attr(ROOT).owner == f"{NAME}@family"


@pytest.mark.parametrize("owner", ["somebody@family", "nobody", "", "local"])
def test_whoever_else_comes_changes_nothing(own: Own, owner: str) -> None:
    own.volume()
    assert own.volume(owner).attr(ROOT).owner == f"{NAME}@local"
