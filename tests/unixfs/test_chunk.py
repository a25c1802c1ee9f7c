"""Chunkers: cuts cover the data, and do not depend on how it arrives."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import HoldError, Kind
from commonhold.unixfs.chunk import MAX_CHUNK, CdcChunker, Chunker, FixedChunker, fixed, parse_chunker
from tests.examples import examples

CHUNKERS: list[Chunker] = [FixedChunker(1), FixedChunker(1000), CdcChunker(64, 256, 1024), CdcChunker(512, 2048, 8192)]


def cut_in_pieces(chunker: Chunker, data: bytes, pieces: list[int]) -> list[int]:
    """The cuts of data that arrives in pieces of these sizes, over and over."""
    held, at, lengths = b"", 0, []
    turn = 0
    while at < len(data):
        size = pieces[turn % len(pieces)]
        turn += 1
        held += data[at : at + size]
        at += size
        cuts = chunker.cut(memoryview(held), False)
        lengths += cuts
        held = held[sum(cuts) :]
    return lengths + chunker.cut(memoryview(held), True)


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from(CHUNKERS), st.integers(0, 40_000), st.lists(st.integers(300, 9000), min_size=1), st.integers())
def test_cuts_do_not_depend_on_how_the_data_arrives(chunker: Chunker, size: int, pieces: list[int], seed: int) -> None:
    data = random.Random(seed).randbytes(size)
    whole = chunker.cut(data, True)
    assert sum(whole) == size
    assert cut_in_pieces(chunker, data, pieces) == whole


def test_an_insertion_moves_only_the_cuts_near_it() -> None:
    chunker = CdcChunker(64, 256, 1024)
    data = random.Random(1).randbytes(100_000)

    def chunks(data: bytes) -> set[bytes]:
        at, found = 0, set()
        for length in chunker.cut(data, True):
            found.add(data[at : at + length])
            at += length
        return found

    before = chunks(data)
    assert len(before - chunks(data[:50_000] + b"!" + data[50_000:])) <= 4


def test_fixed_lengths() -> None:
    assert list(fixed(10, 4)) == [4, 4, 2] == FixedChunker(4).cut(bytes(10), True)
    assert list(fixed(8, 4)) == [4, 4]
    assert list(fixed(0, 4)) == [] == FixedChunker(4).cut(b"", True)
    assert FixedChunker(4).cut(bytes(10), False) == [4, 4]


def test_texts_of_chunkers() -> None:
    assert parse_chunker("size-262144") == FixedChunker(262144)
    assert parse_chunker(f"size-{MAX_CHUNK}") == FixedChunker(MAX_CHUNK)
    assert parse_chunker("cdc-2048-65536-1048576") == CdcChunker(2048, 65536, 1048576)
    assert parse_chunker(f"cdc-64-256-{MAX_CHUNK}").cut(bytes(100), True) == [100]


@pytest.mark.parametrize(
    "text",
    ["", "size", "size-", "size-0", "size--1", "size-1_0", "size-٣", "size- 1", "size-1-2", f"size-{MAX_CHUNK + 1}",
     "size-" + "9" * 9999, "rabin", "cdc-64-256", "cdc-63-256-1024", "cdc-64-255-1024", "cdc-64-256-1023",
     "cdc-512-256-1024", "cdc-64-2048-1024", f"cdc-64-256-{MAX_CHUNK + 1}", "cdc-1048577-1048578-1048579"],
)  # fmt: skip
def test_what_is_no_chunker_is_told_what_would_be(text: str) -> None:
    with pytest.raises(HoldError) as caught:
        parse_chunker(text)
    assert caught.value.kind is Kind.USAGE
    assert "size-N" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_chunker_that_is_allowed_can_cut() -> None:
    for text in ("cdc-64-256-1024", f"cdc-1048576-1048576-{MAX_CHUNK}", f"cdc-64-{MAX_CHUNK}-{MAX_CHUNK}"):
        assert sum(parse_chunker(text).cut(bytes(5_000_000), True)) == 5_000_000
