"""The lock of a repository touches nothing but itself."""

from pathlib import Path

import pytest

from commonhold.errors import HoldError
from commonhold.host.repository import MARKER, Lock


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(HoldError):
        Lock(tmp_path, "add")
    assert (tmp_path / "precious").read_text() == "precious"
