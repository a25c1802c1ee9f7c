"""Whatever a stranger sends, a decoder gives a value or `Malformed`: never another error, never much memory."""

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats import car, dagcbor, dagpb, multihash, unixfs, varint
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed, Unsupported
from tests import vectors
from tests.examples import examples
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@given(data=st.binary(max_size=300))
@settings(max_examples=examples(150), deadline=None)
def test_any_bytes_give_a_value_or_malformed(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)


@pytest.mark.parametrize("raw", [b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x01", b"", b"\x81\x00"])
def test_a_varint_is_minimal_and_within_63_bits(raw: bytes) -> None:
    with pytest.raises(Malformed):
        varint.decode(raw, 0)


@given(st.integers(0, (1 << 63) - 1))
def test_varints_come_back(number: int) -> None:
    raw = varint.encode(number)
    assert varint.decode(raw, 0) == (number, len(raw)) and varint.size(number) == len(raw)


@pytest.mark.parametrize(
    "text",
    [
        "", "Qm", "bafy", "hello world", "Q" * 46, "b" + "a" * 5000, "zQmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
        "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5O", "BAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYk",
        "f0055" + "0000", "f01551220" + "00" * 31, "f015512210" + "00" * 33, "f0155" + "00" + "8101" + "00" * 129, "\0", "é",
    ],
)  # fmt: skip
def test_what_is_no_cid_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        cids.parse_text(text)


def test_an_inline_cid_has_at_most_128_bytes() -> None:
    assert cids.make_v1(cids.RAW, multihash.identity(bytes(128))).inline == bytes(128)
    with pytest.raises(Malformed):
        multihash.identity(bytes(129))


def test_an_unknown_hash_is_well_formed_and_cannot_be_checked() -> None:
    strange = cids.parse(bytes.fromhex("0155" + "b9f001" + "08" + "00" * 8))
    with pytest.raises(Unsupported):
        multihash.matches(strange.multihash, b"")


def _link() -> bytes:
    return dagpb.encode_link(cids.parse_text("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"), b"n", 1)


@pytest.mark.parametrize(
    "block",
    [
        b"\x0a\x01a\x0a\x01b",  # data twice
        _link() + b"\x0a\x01a" + _link(),  # links on both sides of data
        b"\x1a\x00",  # an unknown field
        b"\x12\x02\x12\x00",  # a link without a CID
        b"\x12\x04\x18\x01\x0a\x00",  # a link's fields out of order
        _link()[:-3],
        b"\x0a\xff\xff\xff\xff\x0f",
    ],
)
def test_dag_pb_is_read_strictly(block: bytes) -> None:
    with pytest.raises(Malformed):
        dagpb.decode(block)


def test_dag_pb_with_data_first_is_read_as_the_specification_allows() -> None:
    assert dagpb.decode(b"\x0a\x01a" + _link()).data == b"a"


@pytest.mark.parametrize(
    "hexed",
    [
        "a2616201616102", "a2616101616102", "1817", "190001", "fa3fc00000", "f93e00", "9f01ff", "c001", "f7", "fb7ff8000000000000",
        "fb7ff0000000000000", "d82a4100", "0000", "62c328", "3bffffffffffffffffff", "5f4101ff",
    ],
)  # fmt: skip
def test_dag_cbor_is_read_strictly(hexed: str) -> None:
    with pytest.raises(Malformed):
        dagcbor.decode(bytes.fromhex(hexed))


@pytest.mark.parametrize("opener", [b"\x81", b"\xa1\x61a"])
def test_deep_nesting_is_refused_and_nothing_breaks(opener: bytes) -> None:
    with pytest.raises(Malformed):
        dagcbor.decode(opener * 100_000 + b"\x00")


@pytest.mark.parametrize(
    "message", [b"", b"\x08\x09", b"\x0a\x00", b"\x18\x01", b"\x08\x02\x18" + b"\xff" * 9 + b"\x01"]
)
def test_a_unixfs_message_without_a_known_type_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        unixfs.decode(message)


def test_a_car_cut_short_anywhere_is_refused_or_gives_fewer_blocks() -> None:
    import base64

    raw = base64.b64decode(vectors.cases("car")[0]["car"])
    whole = len(list(car.Reader(io.BytesIO(raw))))
    clean = 0
    for end in range(len(raw)):
        try:
            assert len(list(car.Reader(io.BytesIO(raw[:end])))) < whole
            clean += 1
        except Malformed:
            pass
    assert clean == whole  # only between sections


@pytest.mark.parametrize(
    "raw",
    [
        varint.encode(1 << 40) + b"x",
        varint.encode(0),
        car.encode_header([]) + varint.encode(3 << 20) + bytes(100),
        car.encode_header([]) + varint.encode(0),
        b"\x0aa16776657273696f6e03",
    ],
)
def test_a_car_of_absurd_sizes_is_refused_before_it_is_read(raw: bytes) -> None:
    with pytest.raises(Malformed):
        list(car.Reader(io.BytesIO(raw)))


@given(st.lists(st.tuples(st.binary(max_size=40)), max_size=6))
def test_unixfs_messages_come_back(parts: list[tuple[bytes]]) -> None:
    sizes = tuple(len(part[0]) for part in parts)
    value = unixfs.Data(unixfs.Type.FILE, b"".join(part[0] for part in parts), sum(sizes), sizes, mode=0o644)
    assert unixfs.decode(unixfs.encode(value)) == value
