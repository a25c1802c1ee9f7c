"""Callers: who may use the node, and how much of it at a time. One user's flood waits in that user's own queue."""

import asyncio
import contextlib
import grp
from collections.abc import AsyncIterator

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.ipc.peer import Peer, groups_of
from commonhold.node.config import Config, Limits

UID = web.RequestKey("uid", int)  # of whoever calls, as the kernel says


class Admission:
    """Decides who may use a node. Membership is read when somebody connects, so a change needs no restart."""

    def __init__(self, config: Config, own_uid: int) -> None:
        self._own_uid = own_uid
        self._group = config.group

    def check(self, peer: Peer) -> None:
        """DENIED unless the peer is somebody of this host, and of the group or the node's own user."""
        if not peer.mapped:
            raise HoldError("call", Kind.DENIED, f"uid {peer.uid}", "nobody on this host")
        if peer.uid == self._own_uid:
            return
        if self._group is None:
            raise HoldError("call", Kind.DENIED, f"uid {peer.uid}", "this node serves one user only")
        if self._gid() not in {peer.gid, *groups_of(peer.uid)}:
            raise HoldError(
                "call", Kind.DENIED, f"uid {peer.uid}", f"not a member of group {self._group!r}",
                hint=f"sudo adduser USER {self._group}",
            )  # fmt: skip

    def _gid(self) -> int:
        try:
            return grp.getgrnam(self._group or "").gr_gid
        except KeyError:
            raise HoldError("call", Kind.DENIED, f"group {self._group!r}", "there is no such group") from None


class Turns:
    """One user's requests: so many at once, so many waiting."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.requests)
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the block runs. BUSY where too many wait already."""
        if self._waiting >= self._limits.waiting:
            raise HoldError("call", Kind.BUSY, "node", "too many requests of yours are waiting")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
