"""The codecs say what other tools' say: the vectors of vectors/."""

import base64
import io
from typing import Any

import pytest

from commonhold.formats import car, dagcbor, dagpb
from commonhold.formats import cid as cids
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
