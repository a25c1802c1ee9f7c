"""dag-cbor: strict CBOR with links, and its dag-json rendering for people. By cbrrr, with our limits around it.

Source: IPLD dag-cbor and dag-json specifications.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import cbrrr

from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed

MAX_DEPTH = 128


class _RawCid:
    """What cbrrr gives for tag 42, before it is checked."""

    __slots__ = ("cid_bytes",)

    def __init__(self, cid_bytes: bytes) -> None:
        self.cid_bytes = cid_bytes


def decode(block: bytes) -> Any:
    """Return the value: dict, list, str, bytes, int, float, bool, None and `Cid`."""
    try:
        value = cbrrr.decode_dag_cbor(block, cid_ctor=_RawCid)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise Malformed("dag-cbor", str(error)) from error
    return _check(value, 0)


def _check(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Malformed("dag-cbor", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, _RawCid):
        return cids.parse(bytes(value.cid_bytes))
    if isinstance(value, dict):
        return {key: _check(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_check(item, depth + 1) for item in value]
    return value


def encode(value: Any) -> bytes:
    """Return the canonical block of a value as `decode` gives it."""
    try:
        return bytes(cbrrr.encode_dag_cbor(_wrap(value)))
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed("dag-cbor", str(error)) from error


def _wrap(value: Any) -> Any:
    if isinstance(value, Cid):
        return cbrrr.CID(bytes(value))
    if isinstance(value, dict):
        return {key: _wrap(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wrap(item) for item in value]
    return value


def links(value: Any) -> Iterator[Cid]:
    """Yield every link in a decoded value, in order."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Cid):
            yield item
        elif isinstance(item, dict):
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            stack.extend(reversed(item))


def to_json(value: Any) -> str:
    """Return a decoded value as dag-json text, keys sorted by their bytes."""
    return json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Cid):
        return {"/": str(value)}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, dict):
        return {key: _jsonable(value[key]) for key in sorted(value, key=str.encode)}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return value


def from_json(text: str | bytes) -> Any:
    """Return the value of a dag-json text."""
    try:
        return _unjson(json.loads(text), 0)
    except (ValueError, RecursionError) as error:
        raise Malformed("dag-json", str(error)[:200]) from error


def _unjson(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Malformed("dag-json", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return [_unjson(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"/"}:
        inner = value["/"]
        if isinstance(inner, str):
            return cids.parse_text(inner)
        if isinstance(inner, dict) and set(inner) == {"bytes"} and isinstance(inner["bytes"], str):
            return base64.b64decode(inner["bytes"] + "=" * (-len(inner["bytes"]) % 4), validate=True)
        raise Malformed("dag-json", "reserved key '/'")
    return {key: _unjson(item, depth + 1) for key, item in value.items()}
