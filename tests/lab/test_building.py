"""Where a lab is made, and what is left of one that could not be."""

import contextlib
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.lab import building


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    """`hold lab down --remove` removes all that is there."""
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(HoldError, match="other things") as caught:
        building.build(tmp_path, 1, 1, [], "1G", print)
    assert caught.value.kind is Kind.EXISTS
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def at_work(place: Path) -> list[bytes]:
    """Processes that are told of something there."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and bytes(place) in (words := (entry / "cmdline").read_bytes()):
                found.append(words)
    return found


@pytest.mark.slow
def test_of_a_lab_that_cannot_be_made_no_process_is_left(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(HoldError, match="no number of bytes"):
        building.build(tmp_path / "lab", 1, 1, ["alice"], "plenty", said.append)
    assert "server1" in said, "it had begun"
    assert at_work(tmp_path) == []
    assert (tmp_path / "lab" / "server1.log").exists()
