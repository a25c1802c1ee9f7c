"""A volume over an embedded store: its blocks are those of a sealed add, and what it does not need is given back."""

import os
import random
import time
from pathlib import Path

import pytest

from commonhold.agent.sealed import SealingSession
from commonhold.blockstore import reclaim
from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from commonhold.formats.multihash import sha2_256
from commonhold.trees import ROOT
from commonhold.unixfs.profile import PROFILES
from tests.fakes.keeping import Keeping
from tests.volume.killing import check_reopened, run_for
from tests.volume.volumes import content, make, names, write
from tests.volume.workload import SECRET, Files, opened

CHUNK = 1 << 20
SOAK = bool(os.environ.get("HOLD_SOAK"))


def test_contents_survive_closing_and_the_store_has_no_more_than_them(tmp_path: Path) -> None:
    rng = random.Random(3)
    files = {b"%d" % n: rng.randbytes(rng.choice([100, 70_000, 3 * CHUNK + 9])) for n in range(40)}
    with opened(tmp_path) as (volume, store):
        for name, data in files.items():
            write(volume, make(volume, name).number, 0, data)
            if len(data) < 1000:
                volume.sync(0)
    for round_ in range(3):
        with opened(tmp_path) as (volume, store):
            assert {name: content(volume, volume.lookup(ROOT, name).number) for name in names(volume)} == files
            assert list(volume.verify()) == []
            for name in list(files)[: 8 * (round_ % 2 + 1)]:
                number = volume.lookup(ROOT, name).number
                write(volume, number, 50, b"x" * 500_000)
                files[name] = files[name][:50] + b"x" * 500_000 + files[name][500_050:]
            if round_ == 2:
                for name in list(files)[5:]:
                    number = volume.lookup(ROOT, name).number
                    volume.unlink(ROOT, name)
                    volume.forget([number])
                    del files[name]
    with Store(tmp_path / "store") as store:
        reclaim.collect(store)
        assert verify(store).damage == []
        assert store.usage().bytes < 2 * sum(map(len, files.values())) + CHUNK
    with opened(tmp_path) as (volume, store):
        assert {name: content(volume, volume.lookup(ROOT, name).number) for name in names(volume)} == files


def test_a_whole_chunk_is_the_leaf_of_a_sealed_add(tmp_path: Path) -> None:
    data = random.Random(4).randbytes(2 * CHUNK)
    with opened(tmp_path) as (volume, _):
        write(volume, make(volume, b"f").number, 0, data)
        volume.sync(0)
        digests = set(volume._extents.digests([number for number, *_ in volume._extents.chapters()]))
    keeping = Keeping()
    session = SealingSession(keeping, SECRET, PROFILES["unixfs-v1-2025"])
    for at in (0, CHUNK):
        slot = session.reserve(CHUNK, wait=True)
        assert slot is not None
        slot.into[:] = data[at : at + CHUNK]
        session.digest(slot)
        session.settle(slot, sha2_256(data[at : at + CHUNK]))
    assert {key.digest for key in keeping.blocks} == digests


# ── at length ──


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40 if SOAK else 6))
def test_what_was_done_is_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files: Files = {}
    with opened(tmp_path):
        pass
    for life in range(5):
        workload = seed * 100 + life
        said = run_for(tmp_path, workload, rng.uniform(0.02, 0.8))
        check_reopened(tmp_path, files, workload, said.done)


@pytest.mark.slow
def test_a_directory_with_a_million_entries(tmp_path: Path) -> None:
    """A million in `make soak`, and a fifth of that otherwise."""
    count = 1_000_000 if SOAK else 200_000
    with opened(tmp_path) as (volume, _):
        for n in range(count):
            make(volume, b"file-%d" % n)
            if n % 50_000 == 0:
                volume.commit()
        volume.commit()
        begun = time.process_time()
        for n in range(0, count, 1000):
            assert volume.lookup(ROOT, b"file-%d" % n).size == 0
        assert time.process_time() - begun < 1
        seen, position = 0, 0
        while items := volume.listing(ROOT, position, 500, True):
            seen, position = seen + len(items), items[-1].position
        assert seen == count == volume.attr(ROOT).size
        volume.unlink(ROOT, b"file-100000")
        assert [item.name for item in volume.listing(ROOT, position - 1, 9, False)] == [b"file-%d" % (count - 1)]
        assert list(volume.verify()) == []
