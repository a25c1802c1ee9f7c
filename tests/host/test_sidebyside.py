"""Work side by side, and work that must be alone."""

from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host.sidebyside import alone, beside


def test_what_goes_side_by_side_does_and_what_must_be_alone_waits_for_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with beside(path, 0), beside(path, 0), pytest.raises(HoldError) as caught, alone(path, 0):
        pass
    assert caught.value.kind is Kind.BUSY
    with alone(path, 0):
        for turn in (alone, beside):
            with pytest.raises(HoldError), turn(path, 0):
                pass
    with alone(path, 0):
        pass
