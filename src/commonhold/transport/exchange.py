"""One request and what comes of it: a body that goes up in pieces, an answer that comes down in pieces."""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import aiohttp

from commonhold.errors import HoldError, Kind

Body: TypeAlias = bytes | AsyncIterable[bytes | memoryview]

STALL_SECONDS = 120.0  # for which nothing moves
_PIECE = 1 << 20


class Upload:
    """A body on its way. `failure`: why its source could not go on, which is no fault of the other end's."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.failure: Exception | None = None
        self.patience: asyncio.Timeout | None = None  # while the answer has not begun; each piece shows that it moves

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Its pieces, as they are taken."""
        try:
            if isinstance(self._body, bytes):
                whole = memoryview(self._body)
                for start in range(0, len(whole), _PIECE):
                    yield whole[start : start + _PIECE]
                    self._moved()
            else:
                async for piece in self._body:
                    yield piece
                    self._moved()
        except Exception as error:
            self.failure = error
            raise

    def _moved(self) -> None:
        if self.patience is not None:
            self.patience.reschedule(asyncio.get_running_loop().time() + STALL_SECONDS)


class Errand(NamedTuple):
    """What is said of a request if it fails."""

    op: str
    server: str
    upload: Upload | None


class Answer:
    """What came of a request. Its body is read while the request is open, once."""

    def __init__(self, response: aiohttp.ClientResponse, errand: Errand) -> None:
        self._response = response
        self._errand = errand

    @property
    def status(self) -> int:
        """HTTP's number."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; large and small letters are the same in their names."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they come. UNREACHABLE if it ends too early."""
        while True:
            with broken(self._errand):
                chunk = await self._response.content.readany()
            if not chunk:
                return
            yield chunk

    async def read(self, limit: int) -> bytes:
        """The whole body. TOO_LARGE if it has more than so many bytes."""
        if (self._response.content_length or 0) > limit:
            raise self._too_large(limit)
        parts, length = [], 0
        async for chunk in self.chunks():
            length += len(chunk)
            if length > limit:
                raise self._too_large(limit)
            parts.append(chunk)
        return b"".join(parts)

    def _too_large(self, limit: int) -> HoldError:
        return HoldError(self._errand.op, Kind.TOO_LARGE, self._errand.server, f"an answer of more than {limit} bytes")


@contextmanager
def broken(errand: Errand) -> Iterator[None]:
    """Run a block in which a connection may break: then the other end is UNREACHABLE.

    If it broke because a body's source failed, that is what is raised.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        if errand.upload is not None and errand.upload.failure is not None:
            raise errand.upload.failure from None
        late = isinstance(error, TimeoutError)
        why = "nothing moved for too long" if late else f"the connection has broken: {said_of(error)}"
        raise HoldError(errand.op, Kind.UNREACHABLE, errand.server, why) from error


def said_of(error: BaseException) -> str:
    """Return what an error of the machine or of a library says, in one bearable line."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, ConnectionRefusedError) and error.errno:  # loops name the address instead of the reason
        words = os.strerror(error.errno)
    if not words:
        words = "the other end has hung up" if isinstance(error, ConnectionError) else type(error).__name__
    return words.partition("\n")[0][:200]
