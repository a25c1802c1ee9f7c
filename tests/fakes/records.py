"""Records in memory: what `node.records` promises, without a file."""

from commonhold.api import MAX_ANSWERS, MAX_RECORD, MAX_RECORDS
from commonhold.errors import HoldError, Kind
from commonhold.node.records import check_place


class MemoryRecords:
    """An `api.Records`. A dict keeps the order in which places were first taken."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, bytes], bytes] = {}

    def put(self, owner: int, kind: str, key: bytes, record: bytes) -> None:
        check_place(owner, kind, key)
        if len(record) > MAX_RECORD:
            raise HoldError("put record", Kind.TOO_LARGE, kind, "too large")
        if (owner, kind, key) not in self.rows and sum(row[0] == owner for row in self.rows) >= MAX_RECORDS:
            raise HoldError("put record", Kind.QUOTA, kind, "too many")
        self.rows[owner, kind, key] = record

    def get(self, asker: int, kind: str, key: bytes) -> list[bytes]:
        check_place(asker, kind, key)
        found = [(owner != asker, record) for (owner, k, name), record in self.rows.items() if (k, name) == (kind, key)]
        return [record for _, record in sorted(found, key=lambda row: row[0])][:MAX_ANSWERS]

    def remove(self, owner: int, kind: str, key: bytes) -> None:
        check_place(owner, kind, key)
        if self.rows.pop((owner, kind, key), None) is None:
            raise HoldError("remove record", Kind.NOT_FOUND, kind, "none")

    def keys(self, owner: int, kind: str) -> list[bytes]:
        check_place(owner, kind, b"-")
        return sorted(key for who, k, key in self.rows if (who, k) == (owner, kind))

    def close(self) -> None: ...
