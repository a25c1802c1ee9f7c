"""What a link is made of is kept: where that is not known here, servers are asked. See `tests/suites/sharing`, too."""

from pathlib import Path

import pytest

from tests.cli.grids import join, note
from tests.cli.running import Hold, hold, last

__all__ = ["hold"]


@pytest.mark.slow  # introducers have five seconds to answer
def test_what_was_kept_once_is_not_taken_to_be_kept_still(hold: Hold, tmp_path: Path) -> None:
    family = join(tmp_path / "repo", "family", "alice")
    capability = last(hold("add", "-Q", "--sealed", "-", given=b"secret"))
    note(family, capability, "tree", until=1)
    said = hold("share", capability, code=11)
    assert b"code: E-UNREACHABLE" in said.stderr and said.stdout == b""
    note(family, capability, "tree")
    assert last(hold("share", capability)).startswith("holdl1")
