"""A storage server that lies: behind real TLS, with the key of one that was honest and the shares that this one had."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from enum import Enum, auto

from aiohttp import web

from commonhold.erasure.layout import HEAD
from commonhold.errors import Kind
from commonhold.formats import shareindex, storagewords
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.storagewords import Failure
from tests.transport.ends import serving


class Lie(Enum):
    """What it does. Those from MUTE on are told only where more than the head of a share is asked for."""

    NO_ANSWER = auto()
    ENDLESS_SIZES = auto()
    MORE_SIZES = auto()
    LARGER = auto()
    SMALLER = auto()
    NOT_SIZES = auto()
    OTHERS_SHARE = auto()
    OTHER_PACK = auto()
    GONE = auto()
    MOVED = auto()
    MUTE = auto()
    DAMAGED = auto()
    CUT = auto()
    SHORT = auto()
    ENDLESS = auto()
    MORE = auto()
    WHOLE = auto()

    @property
    def in_pieces(self) -> bool:
        return self.value >= Lie.MUTE.value


class Wicked:
    """See the module. `strange` is what it shows instead of its own shares."""

    def __init__(self, lie: Lie, shares: Mapping[ShareIndex, bytes], strange: Mapping[ShareIndex, bytes]) -> None:
        self.asked = 0
        self._lie = lie
        self._shares = shares
        self._shown = strange if lie in (Lie.OTHERS_SHARE, Lie.OTHER_PACK) else shares
        self._ended = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/v1/find", self._find), web.get("/v1/shares/{index}", self._read)])
        return app

    def end(self) -> None:
        """Let those go who wait for ever."""
        self._ended.set()

    async def _find(self, request: web.Request) -> web.StreamResponse:
        sizes = [len(self._shares.get(one, b"")) for one in storagewords.decode_indexes(await request.read())]
        match self._lie:
            case Lie.NO_ANSWER:
                await self._ended.wait()
            case Lie.ENDLESS_SIZES:
                return await self._for_ever(request, 200)
            case Lie.NOT_SIZES:
                return web.Response(body=b"\xff" * 100)
            case Lie.MORE_SIZES:
                sizes += sizes
            case Lie.LARGER:
                sizes = [size + 1 for size in sizes]
            case Lie.SMALLER:
                sizes = [size // 2 for size in sizes]
        return web.Response(body=storagewords.sizes(sizes))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        data = self._shown[shareindex.parse(request.match_info["index"])]
        start, stop = (int(text) for text in request.headers["Range"].removeprefix("bytes=").split("-"))
        stop += 1
        part = data[start:stop]
        if "copy" in request.query or self._lie is Lie.GONE:
            return web.Response(status=404, body=Failure(Kind.NOT_FOUND, "gone").encoded)
        if self._lie is Lie.MOVED:
            return web.Response(status=302, headers={"Location": str(request.url)})
        if not self._lie.in_pieces or stop <= HEAD:
            return web.Response(status=206, body=part)
        match self._lie:
            case Lie.MUTE:
                await self._ended.wait()
            case Lie.DAMAGED:
                part = bytes(byte ^ 1 for byte in part)
            case Lie.SHORT:
                part = part[:-1]
            case Lie.MORE:
                part += b"x"
            case Lie.WHOLE:
                return web.Response(body=data)
            case Lie.ENDLESS:
                return await self._for_ever(request, 206)
            case Lie.CUT:
                answer = web.StreamResponse(status=206, headers={"Content-Length": str(len(part))})
                await answer.prepare(request)
                await answer.write(part[: len(part) // 2])
                assert request.transport is not None
                request.transport.abort()
                return answer
        return web.Response(status=206, body=part)

    async def _for_ever(self, request: web.Request, status: int) -> web.StreamResponse:
        answer = web.StreamResponse(status=status)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not self._ended.is_set():
                await answer.write(bytes(1 << 16))
        return answer


@contextlib.asynccontextmanager
async def lying(wicked: Wicked, seed: Seed) -> AsyncIterator[TcpHint]:
    """Where it listens."""
    async with serving(wicked.app(), seed=seed) as (hint, _):
        try:
            yield hint
        finally:
            wicked.end()
