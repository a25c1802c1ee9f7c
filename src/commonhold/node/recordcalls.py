"""The node's calls about signed records. Whose they are is who calls; what they say is not looked at."""

from aiohttp import web

from commonhold.api import MAX_RECORD, Records
from commonhold.errors import HoldError, Kind
from commonhold.formats import runs
from commonhold.node.callers import UID
from commonhold.node.desk import Desk


class RecordCalls:
    """Calls over one store of records."""

    def __init__(self, records: Records, desk: Desk) -> None:
        self._records = records
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        one = "/v1/records/{kind}/{key}"
        return [
            web.put(one, self._put),
            web.get(one, self._get),
            web.delete(one, self._remove),
            web.get("/v1/records/{kind}", self._keys),
        ]

    async def _put(self, request: web.Request) -> web.Response:
        if request.content_length is None or request.content_length > MAX_RECORD:
            raise HoldError("put record", Kind.TOO_LARGE, "record", f"{MAX_RECORD} bytes are the limit")
        record = await self._desk.within(request.read())
        await self._desk.write(
            request[UID], self._records.put, request[UID], request.match_info["kind"], _key(request), record
        )
        return web.json_response({})

    async def _get(self, request: web.Request) -> web.Response:
        found = await self._desk.write(
            request[UID], self._records.get, request[UID], request.match_info["kind"], _key(request)
        )
        return web.Response(body=runs.pack(found))

    async def _remove(self, request: web.Request) -> web.Response:
        await self._desk.write(
            request[UID], self._records.remove, request[UID], request.match_info["kind"], _key(request)
        )
        return web.json_response({})

    async def _keys(self, request: web.Request) -> web.Response:
        found = await self._desk.write(request[UID], self._records.keys, request[UID], request.match_info["kind"])
        return web.Response(body=runs.pack(found))


def _key(request: web.Request) -> bytes:
    try:
        return bytes.fromhex(request.match_info["key"])
    except ValueError:
        raise HoldError("call", Kind.INVALID, "key", "not hexadecimal digits") from None
