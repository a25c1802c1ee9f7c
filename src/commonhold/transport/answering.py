"""What calls to strangers have in common: whatever goes wrong is an answer, or the end of the connection."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.formats.malformed import Malformed
from commonhold.formats.storagewords import Failure

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KINDS: Final = {404: Kind.NOT_FOUND, 413: Kind.TOO_LARGE}


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong, as a `Failure`."""
    try:
        return await handler(request)
    except ConnectionError:
        return _cut(request)
    except (HoldError, Malformed, web.RequestPayloadError, TimeoutError, web.HTTPException) as error:
        failure, status = _failure(error)
    if request.writer.output_size:
        return _cut(request)  # an answer had begun: an unfinished one says enough
    return web.Response(body=failure.encoded, status=status)


def _failure(error: Exception) -> tuple[Failure, int]:
    match error:
        case HoldError():
            return Failure(error.kind, error.why), error.kind.value.http
        case web.HTTPException():
            return Failure(_KINDS.get(error.status, Kind.USAGE), error.reason), error.status
        case TimeoutError():
            return Failure(Kind.FAILED, "it did not move for too long"), Kind.FAILED.value.http
        case _:
            return Failure(Kind.INVALID, str(error)), Kind.INVALID.value.http


def _cut(request: web.Request) -> web.Response:
    """Hang up at once, and throw away what was not read; the answer is to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
