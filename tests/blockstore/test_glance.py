"""A glance at a store that nobody has open sees what is in it, and leaves every file as it is."""

from pathlib import Path

import pytest

from commonhold.blockstore import glance
from commonhold.blockstore.store import Store, create
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash
from tests.suites.blockstore import keep, key_of


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, list[Multihash]]:
    """A store of three blocks, and their keys in order."""
    blocks = [b"one", b"two", b"three"]
    create(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        keep(store, "kept", *blocks)
    return tmp_path / "store", sorted(map(key_of, blocks))


def test_a_glance_sees_the_first_keys_and_which_blocks_there_are(stored: tuple[Path, list[Multihash]]) -> None:
    directory, keys = stored
    assert glance.indexed(directory)
    assert glance.first_keys(directory, 2) == keys[:2] and glance.first_keys(directory, 9) == keys
    assert glance.present(directory, [key_of(b"other"), keys[2]]) == {keys[2]}


def test_a_glance_sees_what_is_known_to_be_wrong(stored: tuple[Path, list[Multihash]]) -> None:
    directory, keys = stored
    assert glance.state(directory) == (0, "")
    with Store(directory) as store:
        store.index.set_damaged(keys[:1])
        with store.index.write() as txn:
            store.index.set_doubt(txn, "a lost log")
    assert glance.state(directory) == (1, "a lost log")


def test_a_glance_changes_no_file(stored: tuple[Path, list[Multihash]]) -> None:
    def seen() -> dict[Path, tuple[int, bytes]]:
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in stored[0].rglob("*") if path.is_file()}

    before = seen()
    glance.first_keys(stored[0], 9)
    glance.state(stored[0])
    assert seen() == before


def test_an_index_that_is_none_is_an_error_and_stays(stored: tuple[Path, list[Multihash]]) -> None:
    (stored[0] / "index" / "data.mdb").write_bytes(b"nonsense" * 2048)
    with pytest.raises(HoldError) as caught:
        glance.state(stored[0])
    assert caught.value.kind is Kind.CORRUPT and (stored[0] / "index" / "data.mdb").exists()


def test_a_store_that_was_never_opened_has_no_index(tmp_path: Path) -> None:
    create(tmp_path / "store")
    assert not glance.indexed(tmp_path / "store")
