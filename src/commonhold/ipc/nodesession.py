"""An add under way at a node: blocks are gathered into batches, and a thread sends one while the next is gathered."""

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Sequence

from commonhold.api import MAX_BLOCK, Pin, Slot
from commonhold.errors import HoldError, Kind
from commonhold.formats import keylist, spots
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.ipc import nodewords
from commonhold.ipc.batches import Batch, Ring
from commonhold.ipc.sending import InArchives, InMemory, Way
from commonhold.ipc.unixhttp import Client

_ASK_AGAIN = 16  # batches that are sent unasked after one of which nothing was there
_PATIENCE = 0.5  # seconds until a call is ended for which nothing more comes


class RemoteSession:
    """See `api.Session`. What it is not told is there is sent; the node finds out by itself what it has."""

    fillers = 2  # the node hashes, too

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._at = f"/v1/sessions/{name}"
        self._full: queue.SimpleQueue[Batch | threading.Event | None] = queue.SimpleQueue()
        self._ring: Ring | None = None
        self._way: Way | None = None  # the sender's
        self._batch: Batch | None = None
        self._seen: set[Multihash] = set()  # in the batches under way
        self._unasked = 0
        self._error: HoldError | None = None
        self._sender: threading.Thread | None = None
        self._ended = False
        self.kept = 0

    # ── blocks ──

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        """See `api.Session.reserve`."""
        if length > MAX_BLOCK:
            raise HoldError("put", Kind.TOO_LARGE, "block", f"{length} bytes, the limit is {MAX_BLOCK}")
        slot = self._batch.reserve(length) if self._batch is not None else None
        if slot is None:
            full, self._batch = self._batch, None
            if full is not None:
                self._hand_on(full)
            self._batch = self._empty(wait=wait)
            slot = self._batch.reserve(length) if self._batch is not None else None
        return slot

    def _empty(self, *, wait: bool) -> Batch | None:
        self._check()
        if self._ring is None:
            shared = self._client.memory(f"{self._at}/memory", spots.MEMORY)
            self._ring = Ring()
            self._way = (
                InArchives(self._client, self._at) if shared is None else InMemory(self._client, self._at, shared)
            )
        batch = self._ring.take(wait=wait)
        self._check()
        return batch

    def digest(self, slot: Slot) -> bytes:
        """See `api.Session.digest`."""
        return hashlib.sha256(slot.into).digest()

    def settle(self, slot: Slot, key: Multihash) -> bool:
        """See `api.Session.settle`."""
        new = key not in self._seen
        batch = self._done_with(slot)
        if new:
            self._seen.add(key)
            batch.blocks.append((key, slot))
        self._hand_on(batch)
        return new

    def abandon(self, slot: Slot) -> None:
        """See `api.Session.abandon`."""
        self._hand_on(self._done_with(slot))

    def _done_with(self, slot: Slot) -> Batch:
        batch = slot.home
        assert isinstance(batch, Batch)
        batch.open -= 1
        return batch

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        """See `api.Session.put`."""
        slot = self.reserve(len(data), wait=True)
        if slot is None:
            raise HoldError("put", Kind.FAILED, "session", "every batch has open slots")
        slot.into[:] = data
        return self.settle(slot, key)

    def keep(self, key: Multihash) -> bool:
        """See `api.Session.keep`."""
        return self.keep_all([key])[0]

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        """See `api.Session.keep_all`."""
        unsure = [key for key in keys if key not in self._seen]
        known = dict(zip(unsure, self._keep(unsure), strict=True)) if unsure else {}
        return [known.get(key, True) for key in keys]

    def _keep(self, keys: list[Multihash]) -> list[bool]:
        self._settle()
        return self._ask(keys)

    def _ask_for(self, keys: list[Multihash]) -> list[bool]:
        """Which of these are there, and ours by that. Where none is, the call under way goes on."""
        if not any(size is not None for size in nodewords.sizes(self._client, keys)):
            return [False] * len(keys)
        self._finish()
        return self._ask(keys)

    def _ask(self, keys: list[Multihash]) -> list[bool]:
        answer = self._client.read(self._client.call("POST", f"{self._at}/keep", keylist.pack(keys)))
        if len(answer) != len(keys):
            raise self._client.lied("an answer of another length")
        return [bool(one) for one in answer]

    # ── sending ──

    def _hand_on(self, batch: Batch) -> None:
        """Pass a batch on once nothing more goes in and nothing in it is open."""
        if batch.open or (batch is self._batch and not batch.full):
            return
        if batch is self._batch:
            self._batch = None
        if not batch.blocks:
            self._give_back(batch)
            return
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="hold-send", daemon=True)
            self._sender.start()
        self._full.put(batch)

    def _give_back(self, batch: Batch) -> None:
        assert self._ring is not None
        self._ring.give_back(batch)

    def _send_all(self) -> None:
        while True:
            waiting = self._error is None and self._way is not None and self._way.under_way
            try:
                item = self._full.get(timeout=_PATIENCE if waiting else None)
            except queue.Empty:
                self._attempt(self._finish)
                continue
            if isinstance(item, Batch):
                self._attempt(lambda batch=item: self._send(batch))  # type: ignore[misc]
                self._seen.difference_update([key for key, _ in item.blocks])
                self._give_back(item)
                continue
            self._attempt(self._finish)
            if item is None:
                self._client.leave()
                return
            item.set()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do a step unless one failed before. Whatever happens, whoever waits for this thread is answered."""
        if self._error is not None:
            return
        try:
            step()
        except HoldError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 a thread that ended would leave everybody waiting
            self._error = HoldError("put", Kind.FAILED, "batch", f"{type(error).__name__}: {error}")

    def _finish(self) -> None:
        """Return when all that was sent is answered for."""
        assert self._way is not None
        if self._way.finish():
            self._unasked = 0

    def _send(self, batch: Batch) -> None:
        assert self._way is not None
        blocks = batch.blocks
        if self._unasked == 0:
            there = self._ask_for([key for key, _ in blocks])
            blocks = [item for item, known in zip(blocks, there, strict=True) if not known]
            self.kept += len(there) - len(blocks)
            self._unasked = 0 if any(there) else _ASK_AGAIN
        else:
            self._unasked -= 1
        if blocks and self._way.send(blocks):
            self._unasked = 0

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        """Return when all that was settled has been sent."""
        batch, self._batch = self._batch, None
        if batch is not None:
            if batch.open:
                self._batch = batch
                raise HoldError("flush", Kind.FAILED, "session", "slots are still open")
            self._hand_on(batch)
        self._settle()

    def _settle(self) -> None:
        """Return when what was handed on has been sent, and no call is under way."""
        if self._sender is not None:
            done = threading.Event()
            self._full.put(done)
            done.wait()
        self._check()

    # ── ends ──

    def flush(self) -> None:
        """See `api.Session.flush`."""
        self._drain()
        self._client.json("POST", f"{self._at}/flush")

    def commit(self, name: str, root: Cid) -> Pin:
        """See `api.Session.commit`."""
        self._drain()
        said = {"name": name, "root": str(root)}
        pin = self._client.json("POST", f"{self._at}/commit", said, nodewords.parse_pin)
        if (pin.name, pin.root) != (name, root):
            raise self._client.lied("another pin than was made")
        self._ended = True
        self.close()
        return pin

    def close(self) -> None:
        """See `api.Session.close`."""
        if not self._ended and self._error is None:
            with contextlib.suppress(HoldError):
                self._drain()
        if self._sender is not None:
            self._full.put(None)
            self._sender.join()
            self._sender = None
        if self._ring is not None and self._way is not None:
            self._ring.close()
            self._way.close()
            self._ring = self._way = None
        if not self._ended:
            self._ended = True
            try:
                self._client.json("DELETE", self._at)
            except HoldError as error:  # the node ends what nobody comes back to
                if error.kind not in (Kind.UNREACHABLE, Kind.NOT_FOUND):
                    raise
