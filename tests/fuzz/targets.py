"""One target a decoder: any bytes give a value or the decoder's own refusal. Anything else is a bug."""

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any

from commonhold.api import Plan, Stream
from commonhold.blockstore import layout, records
from commonhold.errors import HoldError
from commonhold.formats import car, dagcbor, dagpb, multihash, unixfs, varint
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.unixfs import chunk, read
from commonhold.unixfs.nodes import children
from commonhold.unixfs.run import items, run

_DIR = cids.make_v1(cids.DAG_PB, multihash.sha2_256(b""))


def _decoder(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with contextlib.suppress(Malformed, HoldError):
            decode(data)

    return target


def _reads(data: bytes) -> None:
    """A node whose every child is the node itself: what hostile graphs look like to a plan, for a few steps."""
    budget = 40

    def fetch(wanted: Sequence[cids.Cid]) -> list[bytes]:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise Malformed("test", "enough")
        return [data] * len(wanted)

    streams: list[Stream[Any]] = [read.listing(_DIR), read.extents(_DIR), read.walk(_DIR)]
    for stream in streams:
        budget = 40
        with contextlib.suppress(Malformed, HoldError):
            for number, _ in enumerate(items(stream, fetch)):
                if number > 2000:
                    break
    plans: list[Plan[Any]] = [read.stat(_DIR), read.resolve(_DIR, ["a", "b"])]
    for plan in plans:
        budget = 40
        with contextlib.suppress(Malformed, HoldError):
            run(plan, fetch)


def _car(data: bytes) -> None:
    for section in car.Reader(io.BytesIO(data)):
        len(section.data)


def _record(data: bytes) -> None:
    key = bytes(32)
    assert records.unpack_header(key, data) is None  # nobody forges a keyed digest
    for unpack in (layout.unpack_members, layout.unpack_pin, layout.unpack_drop, layout.unpack_rename):
        with contextlib.suppress(Malformed):
            unpack(data)
    for stream in (layout.unpack_table(data, 1 << 20), layout.unpack_gone(data), layout.unpack_keys(data)):
        with contextlib.suppress(Malformed):
            list(stream)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "varint": _decoder(lambda data: varint.decode(data, 0)),
    "multihash": _decoder(lambda data: multihash.parse(data)),
    "cid": _decoder(cids.parse),
    "cid-text": _decoder(lambda data: cids.parse_text(data.decode("latin-1"))),
    "dag-pb": _decoder(dagpb.decode),
    "unixfs": _decoder(unixfs.decode),
    "dag-cbor": _decoder(dagcbor.decode),
    "dag-json": _decoder(dagcbor.from_json),
    "links": _decoder(lambda data: children(_DIR, data)),
    "car": _decoder(_car),
    "reads": _reads,
    "records": _record,
    "chunker": _decoder(lambda data: chunk.parse_chunker(data.decode("latin-1"))),
}
