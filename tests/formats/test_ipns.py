"""IPNS names and records: other tools' answers, and every way in which a record can be of two minds."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto import sign
from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, instant, ipns, keys, multihash, varint
from commonhold.formats.ipns import Claims
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.malformed import Malformed, Unsupported
from tests import vectors

FILE = json.loads((vectors.ROOT / "ipns.json").read_text())
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in vectors.cases("ipns")}
MADE = [case for case in CASES.values() if "made" in case]
CLAIMS = Claims(b"/ipfs/bafkqaaa", instant.parse_rfc3339("2126-11-21T00:00:00.000000001Z"), 7, 300)


def raw_of(name: str) -> bytes:
    return base64.b64decode(CASES[name]["record"])


def seed_of(case: dict[str, Any]) -> Seed:
    return Seed(bytes.fromhex(FILE["keys"][case["key"]]["seed"]))


@pytest.mark.parametrize("key", FILE["keys"])
def test_names_are_those_of_other_tools(key: dict[str, str]) -> None:
    name = ipns.name_of(keys.decode_public(bytes.fromhex(key["public"])))
    assert str(name) == key["name"] and name.public.hex() == key["public"][8:]
    upper = cids.format_text(name.cid, "base36upper")
    base32 = cids.format_text(name.cid, "base32")
    for text in (key["name"], key["peer"], upper, base32, f"/ipns/{key['name']}", f"/ipns/{key['peer']}"):
        assert ipns.parse_name(text) == name


@pytest.mark.parametrize("case", MADE, ids=lambda case: case["name"])
def test_records_of_other_tools_are_read_as_they_were_meant(case: dict[str, Any]) -> None:
    record = ipns.decode(base64.b64decode(case["record"]))
    public = sign.public_key(seed_of(case))
    assert record.claims == Claims(
        case["value"].encode(), instant.parse_rfc3339(case["validity"]), int(case["sequence"]), int(case["ttl"])
    )
    assert (record.validity, record.legacy, record.public, record.extra) == (case["validity"], case["legacy"], None, ())
    assert sign.verify(public, record.signed, record.signature)


@pytest.mark.parametrize("case", [case for case in MADE if case["legacy"]], ids=lambda case: case["name"])
def test_the_same_claims_give_the_same_bytes_as_with_other_tools(case: dict[str, Any]) -> None:
    raw, seed = base64.b64decode(case["record"]), seed_of(case)
    claims = ipns.decode(raw).claims
    signature = sign.sign(seed, ipns.signed(ipns.encode_claims(claims)))
    assert ipns.encode(claims, signature, sign.sign(seed, ipns.signed_legacy(claims))) == raw


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case["name"])
def test_a_record_is_refused_if_other_tools_refuse_it(case: dict[str, Any]) -> None:
    raw, name = base64.b64decode(case["record"]), ipns.parse_name(FILE["keys"][case["key"]]["name"])
    try:
        record = ipns.decode(raw)
        good = record.public in (None, name.public) and sign.verify(name.public, record.signed, record.signature)
    except Malformed:
        good = False
    assert good == (case["verdict"] in ("valid", "RecordExpiredError"))


@pytest.mark.parametrize("case", vectors.cases("ipns-published"), ids=lambda case: case["name"])
def test_the_published_records_are_judged_as_the_specification_says(case: dict[str, str]) -> None:
    name = ipns.parse_name(case["of"])
    try:
        record = ipns.decode(base64.b64decode(case["record"]))
    except Malformed:
        assert case["value"] is None
        return
    assert sign.verify(name.public, record.signed, record.signature)
    assert record.claims.value.decode() == case["value"]


@pytest.mark.parametrize("names", FILE["wins"], ids=" ".join)
def test_the_record_wins_that_other_tools_choose(names: list[str]) -> None:
    a, b, winner = (ipns.decode(raw_of(name)) for name in names)
    assert max(a, b, key=lambda record: record.rank) == winner


def test_of_two_records_that_say_the_same_the_greater_bytes_win() -> None:
    one = ipns.decode(envelope(dagcbor.encode(document())))
    two = ipns.decode(envelope(dagcbor.encode(document() | {"_x": 1})))
    assert (one.rank < two.rank) == (one.raw < two.raw)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", Malformed),
        ("/ipns/", Malformed),
        ("/ipns/" + "k" * 500, Malformed),
        ("example.com", Unsupported),
        ("QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3", Unsupported),  # the peer id of an RSA key
        ("12D3Koo0OIl", Malformed),
        ("12D3KooW", Malformed),
        ("bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4", Malformed),
        (str(cids.make_v1(cids.LIBP2P_KEY, multihash.identity(b"\x08\x02\x12\x20" + bytes(32)))), Unsupported),
        (str(cids.make_v1(cids.LIBP2P_KEY, multihash.identity(b"\x08\x01\x12\x1f" + bytes(31)))), Malformed),
        (str(cids.make_v1(cids.RAW, multihash.identity(b"\x08\x01\x12\x20" + bytes(32)))), Malformed),
        (str(cids.make_v1(cids.LIBP2P_KEY, multihash.sha2_256(b"key"))), Unsupported),
    ],
)
def test_what_is_no_name_is_refused(text: str, refusal: type[Malformed]) -> None:
    with pytest.raises(refusal):
        ipns.parse_name(text)


@given(st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_names_come_back(raw: bytes) -> None:
    name = ipns.name_of(PublicKey(raw))
    assert ipns.parse_name(str(name)) == name == ipns.name_of_cid(name.cid) and name.public == raw
    assert str(name).startswith("k51")


numbers = st.integers(0, ipns.MAX_WRITTEN)


@given(
    st.builds(Claims, st.binary(max_size=500), st.integers(-(1 << 60), 1 << 62), numbers, numbers),
    st.binary(min_size=64, max_size=64),
    st.binary(min_size=64, max_size=64),
)
@settings(deadline=None)
def test_records_come_back(claims: Claims, signature: bytes, legacy: bytes) -> None:
    record = ipns.decode(ipns.encode(claims, signature, legacy))
    assert (record.claims, record.signature, record.legacy) == (claims, signature, True)
    assert record.data == ipns.encode_claims(claims)


def test_a_record_over_the_limit_is_neither_written_nor_read() -> None:
    def made(size: int) -> bytes:
        return ipns.encode(replace(CLAIMS, value=bytes(size)), bytes(64), bytes(64))

    size = max(size for size in range(4900, 5120) if len_of(size) <= ipns.MAX_RECORD)
    assert ipns.decode(made(size)).claims.value == bytes(size)
    with pytest.raises(Malformed, match="the limit is 10240"):
        made(size + 1)
    with pytest.raises(Malformed, match="the limit is 10240"):
        ipns.decode(bytes(ipns.MAX_RECORD + 1))


def len_of(size: int) -> int:
    """What a record of a value of so many bytes comes to, where it goes into both the envelope and the document."""
    fixed = len(ipns.encode(replace(CLAIMS, value=bytes(4000)), bytes(64), bytes(64))) - 2 * 4000
    return fixed + 2 * size


@pytest.mark.parametrize("change", [{"sequence": 1 << 63}, {"ttl": 1 << 63}, {"sequence": -1}, {"eol": 1 << 70}])
def test_what_other_tools_could_not_read_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        ipns.encode_claims(replace(CLAIMS, **change))


# ── Hostile records ────────────────────────────────────────────────────────────────────────────────


def document() -> dict[str, Any]:
    return {"Value": CLAIMS.value, "Validity": b"2126-11-21T00:00:00Z", "ValidityType": 0, "Sequence": 7, "TTL": 300}


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint.encode(number << 3) + varint.encode(value)
    return varint.encode(number << 3 | 2) + varint.encode(len(value)) + value


def envelope(data: bytes, *more: bytes, signature: bytes = bytes(64)) -> bytes:
    return b"".join((*more, field(8, signature), field(9, data)))


def test_a_record_of_version_2_alone_needs_no_more_than_signature_and_data() -> None:
    record = ipns.decode(envelope(dagcbor.encode(document())))
    assert not record.legacy and record.claims.sequence == 7


def test_claims_and_fields_that_are_not_known_are_passed_over() -> None:
    data = dagcbor.encode(document() | {"_more": [1, {"a": b"b"}]})
    record = ipns.decode(envelope(data, field(15, b"later"), field(16, 1)))
    assert record.extra == ("_more",) and record.claims.value == CLAIMS.value


@pytest.mark.parametrize("key", document())
@pytest.mark.parametrize("value", [None, True, -1, 1.5, "text", [], {}, 1 << 63, b"bytes", "missing"])
def test_a_claim_of_another_type_is_refused(key: str, value: Any) -> None:
    good = document()
    changed = {k: v for k, v in good.items() if k != key} if value == "missing" else good | {key: value}
    ok = (key == "Value" and value == b"bytes") or (key in ("Sequence", "TTL") and value == 1 << 63)
    if ok:
        ipns.decode(envelope(dagcbor.encode(changed)))
        return
    with pytest.raises(Malformed):
        ipns.decode(envelope(dagcbor.encode(changed)))


def test_a_validity_of_another_kind_is_not_supported() -> None:
    with pytest.raises(Unsupported):
        ipns.decode(envelope(dagcbor.encode(document() | {"ValidityType": 1})))


LEGACY: dict[int, bytes | int] = {1: CLAIMS.value, 2: bytes(64), 3: 0, 4: b"2126-11-21T00:00:00Z", 5: 7, 6: 300}


def legacy(**change: bytes | int | None) -> bytes:
    fields = LEGACY | {int(key[1:]): value for key, value in change.items()}
    more = [field(number, value) for number, value in fields.items() if value is not None]
    return envelope(dagcbor.encode(document()), *more)


def test_the_fields_of_version_1_may_stand_beside_if_they_say_the_same() -> None:
    assert ipns.decode(legacy()).legacy
    assert ipns.decode(legacy(f3=None)).legacy  # 0 need not be written
    assert ipns.decode(legacy(f2=b"")).legacy  # nobody looks at that signature


@pytest.mark.parametrize(
    "change",
    [{"f1": b"/ipfs/other"}, {"f1": b""}, {"f3": 1}, {"f4": b"2126-11-21T00:00:01Z"}, {"f5": 8}, {"f6": 301}]
    + [{f"f{number}": None} for number in (1, 4, 5, 6)],
    ids=str,
)
def test_an_envelope_that_contradicts_what_is_signed_is_refused(change: dict[str, bytes | int | None]) -> None:
    with pytest.raises(Malformed, match="is not the same"):
        ipns.decode(legacy(**change))


def test_a_lone_field_of_version_1_must_say_the_same_too() -> None:
    data = dagcbor.encode(document())
    assert not ipns.decode(envelope(data, field(5, 7))).legacy
    with pytest.raises(Malformed):
        ipns.decode(envelope(data, field(5, 8)))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        field(9, dagcbor.encode(document())),
        field(8, bytes(64)),
        envelope(b""),
        envelope(dagcbor.encode(document()), signature=b""),
        envelope(dagcbor.encode(document()), signature=bytes(63)),
        envelope(dagcbor.encode(document())) + field(9, dagcbor.encode(document())),
        envelope(dagcbor.encode(document()), field(5, 7), field(5, 7)),
        envelope(dagcbor.encode(document()), field(5, b"7")),
        envelope(dagcbor.encode(document()), field(1, 7)),
        envelope(dagcbor.encode(document()), field(7, b"")),
        envelope(dagcbor.encode(document()), field(7, b"\x08\x00\x12\x01x")),
        envelope(dagcbor.encode([document()])),
        envelope(dagcbor.encode(document()) + b"\0"),
        envelope(b"\xa5" + dagcbor.encode(document())[1:-1]),
        envelope(b"\xbf" + dagcbor.encode(document())[1:] + b"\xff"),  # CBOR, but not dag-cbor
        envelope(dagcbor.encode(document() | {"Validity": b"tomorrow"})),
        envelope(dagcbor.encode(document() | {"Validity": "2126-11-21T00:00:00Z".encode("utf-16")})),
        envelope(b"\x81" * 5000 + b"\0"),
    ],
)
def test_a_record_is_read_strictly(raw: bytes) -> None:
    with pytest.raises(Malformed):
        ipns.decode(raw)


@given(st.integers(-(1 << 60), 1 << 63))
@settings(deadline=None)
def test_moments_come_back(moment: int) -> None:
    assert instant.parse_rfc3339(instant.format_rfc3339(moment)) == moment


def test_moments_are_read_in_every_zone_and_to_the_nanosecond() -> None:
    noon = instant.parse_rfc3339("2024-02-29T12:00:00Z")
    assert noon == 1_709_208_000 * instant.SECOND
    assert instant.parse_rfc3339("2024-02-29T13:30:00+01:30") == noon
    assert instant.parse_rfc3339("2024-02-29T10:30:00.5-01:30") == noon + instant.SECOND // 2
    assert instant.parse_rfc3339("1970-01-01T00:00:00.000000001Z") == 1
    assert instant.format_rfc3339(instant.parse_rfc3339("9999-12-31T23:59:59.999999999-23:59"))[:4] == "9999"


@pytest.mark.parametrize(
    "text",
    [
        "", "2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z", "2024-01-01t00:00:00z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00.0000000001Z",
        "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "٢٠٢٤-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        instant.parse_rfc3339(text)
