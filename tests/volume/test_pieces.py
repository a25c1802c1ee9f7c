"""Pieces beside a bytearray: what is not stored yet is what was written last."""

from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.volume.pieces import CHUNK, Pieces, Unstored

SIZE = 3 * CHUNK
NEAR = st.builds(lambda chunk, by: max(0, chunk * CHUNK + by), st.integers(0, 2), st.integers(-40, 40))
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "cut", "send", "whole", "take"]), NEAR, st.one_of(st.integers(1, 50), NEAR)),
    max_size=25,
)


@given(STEPS)
@settings(deadline=None)
def test_pieces_are_what_was_written(steps: list[tuple[str, int, int]]) -> None:
    pieces, data, there = Pieces(), bytearray(SIZE + CHUNK), bytearray(SIZE + CHUNK)
    for at, (step, start, length) in enumerate(steps):
        length = min(max(1, length), SIZE - start)
        stop = start + length
        if step == "write":
            data[start:stop] = bytes([at % 255 + 1]) * length
            there[start:stop] = b"\1" * length
            pieces.write(start, memoryview(data)[start:stop].toreadonly())
        elif step == "cut":
            there[start:stop] = bytes(length)
            pieces.cut(start, stop)
        elif step == "send":
            for piece in pieces.unsent():
                piece.sent, piece.data = True, bytes(piece.data)
        elif step == "whole":
            chunk = start // CHUNK
            whole = pieces.whole(chunk)
            if there.count(1, chunk * CHUNK, (chunk + 1) * CHUNK) == CHUNK:
                assert whole is None or whole.data == data[chunk * CHUNK : (chunk + 1) * CHUNK]
            else:
                assert whole is None
        else:
            for piece in list(pieces)[:1]:
                assert pieces.take(piece) and not pieces.take(piece)
                there[piece.start : piece.stop] = bytes(len(piece.data))
        check(pieces, data, there)


def check(pieces: Pieces, data: bytearray, there: bytearray) -> None:
    found = bytearray(len(there))
    last = 0
    for piece in pieces:
        assert last <= piece.start < piece.stop
        assert piece.start // CHUNK == (piece.stop - 1) // CHUNK
        assert not piece.sent or isinstance(piece.data, bytes)
        last = piece.stop
    assert pieces.size == there.count(1) == sum(len(piece.data) for piece in pieces)
    for start, part in pieces.parts(0, len(there)):
        assert part == data[start : start + len(part)]
        found[start : start + len(part)] = b"\1" * len(part)
    assert found == there
    middle = [(max(start, 100), min(stop, CHUNK + 5)) for start, stop in pieces.covered(0, len(there))]
    assert pieces.covered(100, CHUNK + 5) == [(start, stop) for start, stop in middle if start < stop]


def test_a_piece_that_was_sent_never_changes() -> None:
    pieces = Pieces()
    pieces.write(0, b"sent")
    (piece,) = pieces.unsent()
    piece.sent, piece.data = True, bytes(piece.data)
    pieces.write(4, b" and more")
    assert piece.data == b"sent" and pieces.take(piece)
    pieces.write(0, b"SENT")
    assert not pieces.take(piece)
    assert b"".join(part for _, part in pieces.parts(0, 99)) == b"SENT and more"


def test_the_sums_of_all_files_are_right() -> None:
    unstored = Unstored()
    for number in (1, 2):
        for at in (0, 10, 20, 15):
            unstored.write(number, at, b"x" * 5)
    unstored.write(1, 5, b"y" * 5)
    assert (unstored.total, unstored.count) == (45, 6)
    assert len(unstored.unsent()) == 3 == unstored.count
    unstored.cut(1, 0, CHUNK)
    assert (unstored.total, unstored.count, unstored.of(1)) == (20, 2, None)
    piece = unstored.all()[0][1]
    assert unstored.take(2, piece) and not unstored.take(2, piece) and not unstored.take(1, piece)
    unstored.write(2, CHUNK, bytes(CHUNK // 2))
    unstored.write(2, CHUNK + CHUNK // 2, bytes(CHUNK // 2))
    assert unstored.whole(2, 1) is not None and unstored.whole(2, 0) is None
    unstored.forget(2)
    assert (unstored.total, unstored.count) == (0, 0)
