"""A node's signed records as its callers see them: `api.Records` over a socket. Whoever reads one must verify it."""

from commonhold.api import MAX_ANSWERS, MAX_RECORD, MAX_RECORD_KEY, MAX_RECORDS
from commonhold.errors import HoldError, Kind
from commonhold.formats import runs
from commonhold.formats.malformed import Malformed
from commonhold.ipc.unixhttp import Client


class NodeRecords:
    """See `api.Records`. The owner is who we are: the node asks the kernel, not us."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, owner: int, kind: str, key: bytes, record: bytes) -> None:
        """See `api.Records`."""
        self._client.read(self._client.call("PUT", _place(kind, key), record))

    def get(self, asker: int, kind: str, key: bytes) -> list[bytes]:
        """See `api.Records`."""
        return self._run(self._client.read(self._client.call("GET", _place(kind, key))), MAX_ANSWERS, MAX_RECORD)

    def remove(self, owner: int, kind: str, key: bytes) -> None:
        """See `api.Records`."""
        self._client.read(self._client.call("DELETE", _place(kind, key)))

    def keys(self, owner: int, kind: str) -> list[bytes]:
        """See `api.Records`."""
        answer = self._client.read(self._client.call("GET", f"/v1/records/{kind}"))
        return self._run(answer, MAX_RECORDS, MAX_RECORD_KEY)

    def close(self) -> None:
        """Nothing of its own is open."""

    def _run(self, packed: bytes, limit: int, longest: int) -> list[bytes]:
        try:
            return runs.unpack(packed, limit, longest)
        except Malformed as error:
            raise HoldError("get record", Kind.CORRUPT, f"node {self._client.path}", str(error)) from error


def _place(kind: str, key: bytes) -> str:
    return f"/v1/records/{kind}/{key.hex()}"
