"""Callers: who may use the node."""

import grp

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.ipc.peer import Peer, groups_of
from commonhold.node.config import Config

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
