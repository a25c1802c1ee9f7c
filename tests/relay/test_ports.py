"""A server's port is its own, and the same one each time."""

from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats.pin import SpkiPin
from commonhold.relay import ports
from commonhold.relay.ports import assigned

A, B, C, D = (SpkiPin(letter * 32) for letter in (b"a", b"b", b"c", b"d"))
PORTS = range(10, 13)


def test_each_gets_the_lowest_that_nobody_has_had() -> None:
    assert assigned({}, [B, A], PORTS) == {B: 10, A: 11}
    assert assigned({A: 12}, [B, A], PORTS) == {A: 12, B: 10}


def test_whoever_comes_and_goes_moves_nobody_else() -> None:
    found = assigned({}, [A, B], PORTS)
    found = assigned(found, [B], PORTS)
    assert found == {A: 10, B: 11}  # it is kept for A
    assert assigned(found, [B, C], PORTS) == {A: 10, B: 11, C: 12}
    assert assigned(found, [A], PORTS)[A] == 10


def test_one_that_is_admitted_no_more_gives_up_its_port_when_none_is_left() -> None:
    found = assigned({A: 10, B: 11, C: 12}, [B, C, D], PORTS)
    assert found == {B: 11, C: 12, D: 10}


def test_another_range_gives_other_ports() -> None:
    assert assigned({A: 10, B: 12}, [A, B], range(12, 14)) == {B: 12, A: 13}


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    assert ports.load(tmp_path) == {}
    ports.keep(tmp_path, {A: 10, B: 11})
    assert ports.load(tmp_path) == {A: 10, B: 11} and (tmp_path / "ports").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["x 1\n", f"{A}\n", f"{A} x\n", f"{A} 1\n{B} 1\n", f"{A} 1\n{A} 2\n", f"{A} 1 2\n"])
def test_a_file_that_is_damaged_is_said_to_be(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports").write_text(text)
    with pytest.raises(HoldError) as caught:
        ports.load(tmp_path)
    assert caught.value.kind is Kind.CORRUPT
