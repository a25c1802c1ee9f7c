"""Who may be behind a socket depends on who could have put it there."""

import os
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.ipc.endpoint import owners

ME = 12_345


def test_a_directory_of_one_owner_lets_that_one_be_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert owners(tmp_path / "node.sock", ME) == {0, ME, os.geteuid()}


def test_in_a_shared_directory_only_root_and_oneself_are_believed(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    os.chown(tmp_path, os.geteuid(), -1)
    assert owners(tmp_path / "node.sock", ME) == {0, ME}


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_that_others_may_change_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(HoldError) as caught:
        owners(tmp_path / "node.sock", ME)
    assert caught.value.kind is Kind.DENIED and "chmod" in (caught.value.hint or "")
