"""The codecs say what other tools' say: the vectors of vectors/."""

import base64
import io
from typing import Any

import pytest

from commonhold.formats import car, dagcbor, dagpb, multihash
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from tests import vectors


@pytest.mark.parametrize("case", vectors.cases("cid"))
def test_cids_in_every_base(case: dict[str, Any]) -> None:
    found = cids.parse_text(case["text"]["base32"])
    assert (found.version, found.codec, found.multihash.code) == (1, case["codec"], case["hash"])
    assert found.multihash.digest.hex() == case["digest"]
    for base, text in case["text"].items():
        assert cids.parse_text_base(text) == (found, base)
        assert cids.format_text(found, base) == text
    if "v0" in case:
        assert str(cids.to_version(found, 0)) == case["v0"]
        assert cids.to_version(cids.parse_text(case["v0"]), 1) == found


@pytest.mark.parametrize("case", vectors.cases("dagpb"))
def test_dag_pb_nodes(case: dict[str, Any]) -> None:
    block = bytes.fromhex(case["hex"])
    node = dagpb.decode(block)
    assert [[str(link.cid), link.name, link.tsize] for link in node.links] == case["links"]
    assert (None if node.data is None else node.data.hex()) == case["data"]
    assert dagpb.encode(node.links, node.data) == block


@pytest.mark.parametrize("case", vectors.cases("dagcbor"))
def test_dag_cbor_values_and_their_dag_json(case: dict[str, Any]) -> None:
    block = bytes.fromhex(case["hex"])
    value = dagcbor.decode(block)
    assert dagcbor.encode(value) == block
    assert dagcbor.from_json(dagcbor.to_json(value)) == dagcbor.from_json(case["json"]) == value


@pytest.mark.parametrize("case", vectors.cases("car"), ids=lambda case: case["name"])
def test_car_archives(case: dict[str, Any]) -> None:
    raw = base64.b64decode(case["car"])
    reader = car.Reader(io.BytesIO(raw))
    sections = list(reader)
    assert [str(root) for root in reader.roots] == case["roots"]
    assert [[str(section.cid), section.data.hex()] for section in sections] == case["blocks"]
    written = car.encode_header(reader.roots) + b"".join(car.encode_section(*_pair(section)) for section in sections)
    assert written == raw


def _pair(section: car.Section) -> tuple[cids.Cid, bytes]:
    return section.cid, section.data


def test_a_v2_archive_gives_its_inner_v1() -> None:
    inner = base64.b64decode(vectors.cases("car")[0]["car"])
    size = len(inner)
    outer = bytes.fromhex("0aa16776657273696f6e02") + bytes(16)
    outer += (11 + 40 + 7).to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8)
    reader = car.Reader(io.BytesIO(outer + bytes(7) + inner + b"an index follows"))
    assert reader.version == 2 and len(list(reader)) == 2


# ── Kubo's answers ──


@pytest.mark.parametrize("case", vectors.cases("cid-kubo"))
def test_kubo_s_cids_in_every_base(case: dict[str, Any]) -> None:
    found = cids.parse_text(case["cid"])
    assert (found.version, found.multihash.digest.hex()) == (case["version"], case["digest"])
    v1 = cids.to_version(found, 1)
    for base, text in case["equivalents"].items():
        if base == "v0":
            assert str(cids.to_version(found, 0)) == text
        else:
            assert cids.format_text(v1, base) == text


@pytest.mark.parametrize("text", vectors.bad_cids())
def test_what_kubo_refuses_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        cids.parse_text(text)


@pytest.mark.parametrize("case", vectors.cases("dagpb-kubo"), ids=lambda case: case["name"])
def test_kubo_s_dag_pb_nodes(case: dict[str, Any]) -> None:
    block = bytes.fromhex(case["hex"])
    cid = cids.parse_text(case["cid"])
    assert multihash.matches(cid.multihash, block)
    shown = dagcbor.from_json(case["json"])
    node = dagpb.decode(block)
    assert node.data == shown.get("Data")
    assert [link.cid for link in node.links] == [link["Hash"] for link in shown["Links"]]
    assert [link.name for link in node.links] == [link.get("Name") or "" for link in shown["Links"]]
    assert [link.tsize for link in node.links] == [link.get("Tsize") or 0 for link in shown["Links"]]


@pytest.mark.parametrize("case", vectors.cases("dagcbor-kubo"), ids=lambda case: case["input"][:40])
def test_kubo_s_dag_cbor_values(case: dict[str, Any]) -> None:
    block = bytes.fromhex(case["hex"])
    assert multihash.matches(cids.parse_text(case["cid"]).multihash, block)
    value = dagcbor.decode(block)
    assert dagcbor.encode(value) == block
    assert dagcbor.from_json(dagcbor.to_json(value)) == dagcbor.from_json(case["json"]) == value


@pytest.mark.parametrize("case", vectors.cases("car-kubo"), ids=lambda case: case["name"])
def test_kubo_s_archives(case: dict[str, Any]) -> None:
    reader = car.Reader(io.BytesIO(base64.b64decode(case["car"])))
    sections = [[str(section.cid), section.data.hex()] for section in reader]
    assert [str(root) for root in reader.roots] == case["roots"]
    assert sections == case["blocks"]
