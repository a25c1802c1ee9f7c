"""Requests that a kernel wrote, beside what they say: the cases of vectors/fuse-requests.json."""

from typing import Any

from commonhold.formats.fuse import BadRequest, Request
from commonhold.formats.fuseflags import Opcode


def described(request: Request) -> dict[str, Any]:
    """A request in the words of JSON. Bytes are text in latin-1."""
    body = {name: _plain(value) for name, value in zip(request.body._fields, request.body, strict=True)}
    found: dict[str, Any] = {
        "opcode": Opcode(request.opcode).name,
        **{name: getattr(request, name) for name in ("unique", "nodeid", "uid", "gid", "pid")},
        "body": {"kind": type(request.body).__name__, **body},
    }
    if any(request.extensions):
        found["groups"], found["context"] = _plain(request.extensions)
    return found


def refused(bad: BadRequest) -> dict[str, Any]:
    """A refusal in the words of JSON."""
    return {"opcode": bad.opcode.name, "unique": bad.unique, "errno": bad.errno}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
