"""Packs: tables come back, lie in no way, and blocks are cut into packs the same way every time."""

import hashlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import multihash, varint
from commonhold.formats.car import MAX_BLOCK
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import (
    HEAD,
    MAX_BLOCKS,
    MAX_PACK,
    TARGET,
    Entry,
    Located,
    decode_table,
    encode_table,
    plan,
    table_size,
)
from tests import vectors


def key(number: int) -> Multihash:
    return multihash.from_sha2_256_digest(number.to_bytes(32, "big"))


def table(rows: bytes, count: int, magic: bytes = b"hpk1", said: int | None = None) -> bytes:
    return magic + struct.pack("<II", count, len(rows) if said is None else said) + rows


def row(number: int, length: int) -> bytes:
    return key(number) + varint.encode(length)


@pytest.mark.parametrize("case", vectors.cases("pack"), ids=lambda case: case["name"])
def test_tables_are_the_vectors(case: dict[str, Any]) -> None:
    blocks = [text.encode() for text in case["blocks"]]
    entries = [Entry(multihash.sha2_256(block), len(block)) for block in blocks]
    made = encode_table(entries)
    assert made.hex() == case["table"] and table_size(made[:HEAD]) == len(made)
    pack = made + b"".join(blocks)
    assert len(pack) == case["bytes"]
    for data in (made, pack, memoryview(pack)):
        found = decode_table(data, len(pack))
        assert [pack[start:stop] for _, start, stop in found] == blocks
        assert all(one.key.digest == hashlib.sha256(pack[one.start : one.stop]).digest() for one in found)


lengths = st.lists(st.integers(0, 3000), min_size=1, max_size=40)


@given(lengths, st.sets(st.sampled_from([0x13, 0x14, 0xB220, 0xB240])))
def test_tables_come_back(sizes: list[int], others: set[int]) -> None:
    entries = [Entry(key(number), size) for number, size in enumerate(sizes)]
    entries += [Entry(multihash.compute(code, b"x"), 1) for code in others]
    made = encode_table(entries)
    size = len(made) + sum(entry.length for entry in entries)
    at, places = len(made), []
    for entry in entries:
        places.append(Located(entry.key, at, at + entry.length))
        at += entry.length
    assert decode_table(made, size) == places
    for wrong in (size - 1, size + 1, len(made) - 1, MAX_PACK + 1, -1, 0):
        with pytest.raises(Malformed):
            decode_table(made, wrong)


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (b"", 0),
        (b"hpk1", 100),
        (table(row(1, 5), 1)[:-1], HEAD + 35 + 5),
        (table(row(1, 5), 1, magic=b"hpk2"), HEAD + 35 + 5),
        (table(b"", 0), HEAD),
        (table(row(1, 5), 0), HEAD + 35 + 5),
        (table(row(1, 5), MAX_BLOCKS + 1), HEAD + 35 + 5),
        (table(row(1, 5), 2), HEAD + 35 + 5),
        (table(row(1, 5) + row(2, 5), 1), HEAD + 70 + 5),
        (table(row(1, 5) + b"\0", 1), HEAD + 36 + 5),
        (table(row(1, 5), 1, said=34), HEAD + 35 + 5),
        (table(row(1, 5), 1, said=36), HEAD + 36 + 5),
        (table(row(1, 5), 1, said=0xFFFFFFFF), HEAD + 35 + 5),
        (table(row(1, 6), 1), HEAD + 35 + 5),
        (table(row(1, 4), 1), HEAD + 35 + 5),
        (table(row(1, 5) + row(1, 5), 2), HEAD + 70 + 10),
        (table(key(1) + b"\x85\x00", 1), HEAD + 36 + 5),
        (table(key(1) + b"\xff" * 9 + b"\1", 1), HEAD + 44 + 5),
        (table(b"\x92\x00\x20" + bytes(32) + b"\5", 1), HEAD + 36 + 5),
        (table(b"\x12\x1f" + bytes(31) + b"\5", 1), HEAD + 34 + 5),
        (table(row(1, MAX_BLOCK + 1), 1), HEAD + 38 + MAX_BLOCK + 1),
        (table(row(1, 1 << 62), 1), HEAD + 43),
        (table(b"".join(row(n, MAX_BLOCK) for n in range(33)), 33), HEAD + 33 * (38 + MAX_BLOCK)),
    ],
)  # fmt: skip
def test_a_table_that_lies_repeats_or_is_not_minimal_is_refused(made: bytes, size: int) -> None:
    with pytest.raises(Malformed):
        decode_table(made, size)


def test_what_could_not_be_read_is_not_written() -> None:
    for entries in ([], [Entry(key(1), 1)] * 2, [Entry(key(1), -1)], [Entry(key(1), MAX_BLOCK + 1)]):
        with pytest.raises(Malformed):
            encode_table(entries)
    with pytest.raises(Malformed):
        encode_table([Entry(key(number), 0) for number in range(MAX_BLOCKS + 1)])
    with pytest.raises(Malformed, match="the limit is"):
        encode_table([Entry(key(number), MAX_BLOCK) for number in range(32)])


def test_the_greatest_pack_and_the_most_blocks_come_back() -> None:
    full = [Entry(key(number), MAX_BLOCK) for number in range(31)]
    left = MAX_PACK - len(encode_table(full)) - 31 * MAX_BLOCK - 37
    assert decode_table(encode_table([*full, Entry(key(31), left)]), MAX_PACK)[-1].stop == MAX_PACK
    with pytest.raises(Malformed):
        encode_table([*full, Entry(key(31), left + 1)])
    most = encode_table([Entry(key(number), 0) for number in range(MAX_BLOCKS)])
    assert len(decode_table(most, len(most))) == MAX_BLOCKS


@given(st.binary(max_size=120), st.integers(0, 200))
def test_any_bytes_give_a_table_or_are_refused(data: bytes, size: int) -> None:
    for made in (data, table(data, 1), table(data, 2)):
        try:
            found = decode_table(made, size)
        except Malformed:
            continue
        assert found[-1].stop == size


# ── Cutting ────────────────────────────────────────────────────────────────────────────────────────


def size_of(pack: list[Entry]) -> int:
    return len(encode_table(pack)) + sum(entry.length for entry in pack)


def test_blocks_are_cut_into_packs_of_32_mib() -> None:
    blocks = [Entry(key(number), 1_300_000 - 1000 * (number % 50)) for number in range(200)]
    packs = list(plan(iter(blocks)))
    assert [entry for pack in packs for entry in pack] == blocks and packs == list(plan(blocks))
    assert all(TARGET - MAX_BLOCK < size_of(pack) <= TARGET for pack in packs[:-1])


def test_small_blocks_lie_together_up_to_as_many_as_a_pack_takes() -> None:
    blocks = [Entry(key(number), 200) for number in range(MAX_BLOCKS + 10)]
    assert [len(pack) for pack in plan(blocks)] == [MAX_BLOCKS, 10]


def test_a_pack_is_filled_to_the_last_byte() -> None:
    most = TARGET - HEAD - 15 * 38 - 37
    sizes = [MAX_BLOCK] * 15 + [most - 15 * MAX_BLOCK]
    fits = [Entry(key(number), size) for number, size in enumerate(sizes)]
    assert [size_of(pack) for pack in plan(fits)] == [TARGET]
    more = [*fits[:-1], Entry(key(15), fits[-1].length + 1)]
    assert [len(pack) for pack in plan(more)] == [15, 1]


def test_a_block_that_comes_again_is_passed_over() -> None:
    a, b = Entry(key(1), 10), Entry(key(2), 20)
    assert list(plan([a, b, a, a, b])) == [[a, b]]
    assert list(plan([])) == []


def test_a_block_that_no_pack_takes_is_refused() -> None:
    with pytest.raises(Malformed):
        list(plan([Entry(key(1), MAX_BLOCK + 1)]))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, MAX_BLOCK)), max_size=80))
def test_every_pack_of_a_plan_can_be_written(blocks: list[tuple[int, int]]) -> None:
    entries = [Entry(key(number), length) for number, length in blocks]
    packs = list(plan(entries))
    assert all(size_of(pack) <= TARGET for pack in packs)
    assert {entry.key for pack in packs for entry in pack} == {entry.key for entry in entries}
