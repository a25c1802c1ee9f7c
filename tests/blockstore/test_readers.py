"""Readers that go on while blocks are deleted and segments rewritten: each read gives the block, or says it is gone."""

import random
import threading
from pathlib import Path

import pytest

from commonhold.blockstore import reclaim, segments
from commonhold.blockstore.store import Store, create
from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from tests.suites.blockstore import keep, key_of


@pytest.mark.slow
def test_several_readers_see_whole_blocks_while_segments_are_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SIZE", 2 << 20)
    monkeypatch.setattr(reclaim, "_worth_rewriting", lambda store, live: store.segments.numbers()[:-1])
    create(tmp_path / "store")
    rng = random.Random(3)
    blocks = [rng.randbytes(rng.choice([40, 3000, 70_000])) for _ in range(150)]
    stop = threading.Event()
    wrong: list[Exception] = []
    reads = [0] * 4

    def reader(store: Store, number: int) -> None:
        mine = random.Random(number)
        memory = disk.aligned(128 << 10)
        try:
            while not stop.is_set():
                data = mine.choice(blocks)
                if number % 2:
                    assert store.get(key_of(data)) == data
                else:
                    assert memory[: store.read_into(key_of(data), memory)] == data
                reads[number] += 1
        except (HoldError, AssertionError, OSError) as error:
            wrong.append(error)

    with Store(tmp_path / "store") as store:
        keep(store, "kept", *blocks)
        threads = [threading.Thread(target=reader, args=(store, number)) for number in range(len(reads))]
        for thread in threads:
            thread.start()
        try:
            moved = 0
            for round_ in range(6):
                chaff = [rng.randbytes(50_000) for _ in range(60)]
                keep(store, f"chaff{round_}", *chaff)
                store.unpin(f"chaff{round_}")
                moved += reclaim.collect(store).moved
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert moved and all(reads)
        with pytest.raises(HoldError) as caught:
            store.get(key_of(chaff[0]))
        assert caught.value.kind is Kind.NOT_FOUND
