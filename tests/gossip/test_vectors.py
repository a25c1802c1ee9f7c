"""The messages of vectors/gossip.json, and how ids, slots and digests are made, by nothing but hashes."""

import base64
import hashlib
import json
from typing import Any

import pytest

from commonhold.formats import dagcbor
from commonhold.formats import gossip as wire
from tests import vectors
from tests.gossip.make_vectors import messages

CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in vectors.cases("gossip")}


@pytest.mark.parametrize("name", messages())
def test_a_message_is_what_the_vector_says(name: str) -> None:
    message, data = messages()[name], bytes.fromhex(CASES[name]["hex"])
    assert wire.encode(message) == data and wire.decode(data) == message
    assert dagcbor.to_json(dagcbor.decode(data)) == CASES[name]["json"]


def _raw(name: str, field: str) -> Any:
    found = json.loads(CASES[name]["json"])[field]
    if isinstance(found, list):
        return [_bytes(one) for one in found]
    return _bytes(found)


def _bytes(found: dict[str, Any]) -> bytes:
    text = found["/"]["bytes"]
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_an_id_is_slot_sequence_and_digest() -> None:
    (statement,) = _raw("records", "announcements")
    signed = dagcbor.decode(statement)
    said = dagcbor.decode(signed["body"])
    place = b"\n".join((b"announcement", signed["key"], said["purpose"].encode(), said["grid"]))
    slot = hashlib.sha256(place).digest()[:16]
    digest = hashlib.sha256(statement).digest()[:16]
    want = slot + said["sequence"].to_bytes(8) + digest
    assert want == _raw("want", "ids")[:40]
    assert _raw("have", "ids")[:41] == want + b"\0"


def test_a_range_is_digested_over_its_ids_in_order() -> None:
    ids = _raw("want", "ids")
    ordered = b"".join(sorted((ids[:40], ids[40:])))
    digest = hashlib.sha256(ordered).digest()[:16]
    assert _raw("ranges", "ranges") == bytes(16) + b"\xff" * 16 + (2).to_bytes(4) + digest
    assert _raw("ranges of nothing", "ranges")[-16:] == hashlib.sha256(b"").digest()[:16]
    assert _raw("listing", "parts") == [bytes(16) + b"\xff" * 16 + ordered]
