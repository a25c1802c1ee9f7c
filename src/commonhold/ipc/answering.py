"""What calls over a socket of this host have in common: their JSON, whatever goes wrong as an answer, or the end."""

import json
from typing import Any, Final

from aiohttp import web

from commonhold.errors import HoldError, Kind, from_any
from commonhold.formats.malformed import Malformed

MAX_JSON: Final = 64 << 10
WRONG: Final = (HoldError, Malformed, web.RequestPayloadError, web.HTTPException, TimeoutError)  # the caller's doing
_KINDS: Final = {404: Kind.NOT_FOUND, 413: Kind.TOO_LARGE}


def json_object(raw: bytes, subject: str, op: str = "call") -> dict[str, Any]:
    """The object that came. TOO_LARGE, INVALID."""
    if len(raw) > MAX_JSON:
        raise HoldError(op, Kind.TOO_LARGE, subject, f"over {MAX_JSON} bytes")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HoldError(op, Kind.INVALID, subject, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise HoldError(op, Kind.INVALID, subject, "not an object")
    return value


def failure(path: str, error: Exception) -> tuple[HoldError, int]:
    """What to say of an error, and the status."""
    match error:
        case HoldError():
            failed = error
        case web.HTTPException():
            return HoldError("call", _KINDS.get(error.status, Kind.USAGE), path, error.reason), error.status
        case TimeoutError():
            failed = HoldError("call", Kind.FAILED, path, "it did not move for too long")
        case OSError():
            failed = from_any("call", error)
        case _:
            failed = HoldError("call", Kind.INVALID, path, str(error))
    return failed, failed.kind.value.http


def cut(request: web.Request) -> web.Response:
    """Hang up at once, and throw away what was not read; the answer is to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
