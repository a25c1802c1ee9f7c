"""What every code must do. A test module makes the `code` fixture and imports these."""

import random
import threading
from collections.abc import Sequence

import pytest
import zfec

from commonhold.erasure.code import Code
from commonhold.erasure.values import MAX_SHARES, Piece

SHAPES = [(1, 1), (1, 4), (2, 3), (3, 5), (3, 10), (4, 6), (10, 16), (16, 16), (100, 255), (254, 255)]
LENGTHS = [1, 2, 15, 16, 31, 33, 63, 64, 65, 127, 1000, 4099]


def pieces(datas: Sequence[bytes], numbers: Sequence[int]) -> list[Piece]:
    return [Piece(number, memoryview(bytearray(datas[number]))) for number in numbers]


def rooms(length: int, numbers: Sequence[int]) -> list[Piece]:
    return [Piece(number, memoryview(bytearray(b"\xa5" * length))) for number in numbers]


def by_zfec(k: int, n: int, length: int, seed: int = 1) -> list[bytes]:
    primary = [random.Random(f"{seed} {number}").randbytes(length) for number in range(k)]
    return [bytes(data) for data in zfec.Encoder(k, n).encode(tuple(primary))]


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_pieces_are_zfecs_byte_for_byte(code: Code, k: int, n: int) -> None:
    for length in LENGTHS if n < 100 else LENGTHS[:5]:
        datas = by_zfec(k, n, length)
        made = rooms(length, range(k, n))
        code.compute(pieces(datas, range(k)), made)
        assert [bytes(piece.data) for piece in made] == datas[k:]


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_any_k_pieces_in_any_order_give_any_others(code: Code, k: int, n: int) -> None:
    rng = random.Random(k * 256 + n)
    datas = by_zfec(k, n, 77)
    for _ in range(20 if n < 100 else 2):
        numbers = rng.sample(range(n), n)
        have, made = pieces(datas, numbers[:k]), rooms(77, numbers[k:])
        code.compute(have, made)
        assert [bytes(piece.data) for piece in made] == [datas[number] for number in numbers[k:]]
        assert [bytes(piece.data) for piece in have] == [datas[number] for number in numbers[:k]]


def test_nothing_is_written_beside_a_wanted_piece(code: Code) -> None:
    datas = by_zfec(3, 5, 100)
    around = bytearray(b"\xa5" * 300)
    code.compute(pieces(datas, [0, 2, 4]), [Piece(1, memoryview(around)[101:201])])
    assert around == b"\xa5" * 101 + datas[1] + b"\xa5" * 99


def test_what_is_not_wanted_costs_nothing(code: Code) -> None:
    code.compute(rooms(5, [0, 1]), [])


def test_many_threads_compute_at_once(code: Code) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(30):
            datas = by_zfec(3, 7, 5000, seed * 100 + turn)
            numbers = random.Random(seed * 100 + turn).sample(range(7), 7)
            made = rooms(5000, numbers[3:])
            code.compute(pieces(datas, numbers[:3]), made)
            if [bytes(piece.data) for piece in made] != [datas[number] for number in numbers[3:]]:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def unsound() -> list[tuple[list[Piece], list[Piece]]]:
    """Pieces on which a library would read or write where it must not."""
    good = rooms(8, [0, 1])
    other = memoryview(bytearray(16))
    return [
        ([], rooms(8, [1])),
        (rooms(8, [0, 0]), rooms(8, [2])),
        (good, rooms(8, [1])),
        (good, rooms(8, [2, 2])),
        (good, rooms(8, [MAX_SHARES])),
        (good, rooms(8, [-1])),
        (good, rooms(7, [2])),
        (good, rooms(9, [2])),
        ([*rooms(8, [0]), *rooms(7, [1])], rooms(8, [2])),
        (rooms(0, [0, 1]), rooms(0, [2])),
        (good, [Piece(2, memoryview(bytes(8)))]),
        ([Piece(0, memoryview(bytes(8))), *rooms(8, [1])], rooms(8, [2])),
        (good, [Piece(2, other[::2])]),
        (good, [Piece(2, other.cast("H"))]),
        (good, [Piece(2, other.cast("B", (8, 2)))]),
    ]


@pytest.mark.parametrize("number", range(len(unsound())))
def test_pieces_that_are_not_sound_are_refused_before_anything_is_written(code: Code, number: int) -> None:
    have, want = unsound()[number]
    before = [piece.data.tobytes() for piece in want]
    with pytest.raises(ValueError, match="piece"):
        code.compute(have, want)
    assert [piece.data.tobytes() for piece in want] == before
