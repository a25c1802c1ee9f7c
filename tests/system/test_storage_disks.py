"""A storage server on disks that lose their power, are full, or are not there."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host import disk as host_disk
from tests.storage.keeping import MOST, QUOTA, Clock, Place, bytes_of, hash_of, index_of
from tests.storage.killing import check_reopened, run_for
from tests.system.disks import small_ext4
from tests.system.test_power import Disk
from tests.system.test_power import disk as disk

_POINTS = 200 if os.environ.get("HOLD_SOAK") else 12

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_a_power_cut_loses_no_share_that_was_finished_and_leaves_no_file(disk: Disk) -> None:
    rng = random.Random(5)
    place = disk.mounted_at / "place"
    place.mkdir()
    Place(place, Clock(), (MOST, MOST)).close()
    os.sync()
    there: set[int] = set()
    for point in range(_POINTS):
        run_for(place, point, rng.uniform(0.02, 0.5), there, disk.cut)
        disk.unmount()
        disk.mount()
        check_reopened(place, there, torn=True)


def test_a_removal_outlasts_a_power_cut(disk: Disk) -> None:
    """What has no row any more is removed for good: a file that comes back would be found by nobody."""
    with closing(Place(disk.mounted_at, Clock())) as place:
        place.store(place.account(), index_of(1), b"x" * 10_000)
        os.sync()
        place.keeper.drop(place.account(), [index_of(1)])
        place.sweep()
        disk.cut()
    disk.unmount()
    disk.mount()
    with closing(Place(disk.mounted_at, Clock(), ())) as place:
        place.check_books()
        assert not place.files() and place.used() == 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    with small_ext4(tmp_path) as mounted:
        yield mounted


def test_an_upload_that_was_begun_has_its_room_on_a_disk_that_is_full_then(small: Path, tmp_path: Path) -> None:
    size = 20 << 20
    with closing(Place(tmp_path, Clock(), ())) as made:
        made.ledger.put_shelf(small / "shelf", MOST)
    with closing(Place(tmp_path, Clock(), ())) as place:
        begun = []
        with pytest.raises(HoldError) as caught:
            for number in range(10):
                place.keeper.begin(place.account(), QUOTA, index_of(number), size, 0)
                begun.append(number)
        assert caught.value.kind is Kind.DISK_FULL and len(begun) >= 3
        assert place.used() == len(begun) * size
        with pytest.raises(OSError, match="No space"), open(small / "the rest", "wb", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
        room = host_disk.aligned(1 << 20)  # as a server has it: it is written past the page cache
        for number in begun:
            data, account, index = bytes_of(number, size), place.account(), index_of(number)
            for at in range(0, size, len(room)):
                room[:] = data[at : at + len(room)]
                assert place.keeper.append(account, index, at, room) == at + len(room)
            place.keeper.finish(account, index, hash_of(data))
        for number in begun:
            assert place.read(index_of(number)) == bytes_of(number, size)


def test_a_disk_that_is_not_mounted_loses_nothing(small: Path, tmp_path: Path) -> None:
    with closing(Place(tmp_path, Clock(), ())) as made:
        made.ledger.put_shelf(small, MOST)
    with closing(Place(tmp_path, Clock(), ())) as place:
        place.store(place.account(), index_of(1), b"a share")
        place.store(place.account(), index_of(2), b"to go")
        subprocess.run(["umount", str(small)], check=True)
        for call in (place.keeper.open, place.keeper.check):
            with pytest.raises(HoldError) as caught:
                call(index_of(1))
            assert caught.value.kind is Kind.FAILED
        with pytest.raises(HoldError) as caught:
            place.keeper.begin(place.account(), QUOTA, index_of(3), 10, 0)
        assert caught.value.kind is Kind.DISK_FULL and place.used() == 12
        place.keeper.drop(place.account(), [index_of(2)])
        place.sweep()
    with closing(Place(tmp_path, Clock(), ())) as place:
        assert not list(small.iterdir())
        subprocess.run(["mount", "-o", "loop", str(tmp_path / "image"), str(small)], check=True)
        place.sweep()
        assert place.read(index_of(1)) == b"a share" and place.keeper.check(index_of(1))
        assert len([path for path in small.glob("??/*") if path.is_file()]) == 1
