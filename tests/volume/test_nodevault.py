"""A vault in an embedded store. That the blocks are those of a sealed add is what a snapshot builds on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.api import BlockStore
from commonhold.blockstore.store import Store, create
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import from_sha2_256_digest
from commonhold.volume.nodevault import NodeVault
from tests.suites.vault import *  # noqa: F403

SECRET = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    create(tmp_path / "store")
    with contextlib.closing(Store(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def vault(store: Store) -> NodeVault:
    return NodeVault(store, SECRET, "abc")


def test_chapters_of_another_volume_and_other_pins_are_not_ours(store: BlockStore, vault: NodeVault) -> None:
    keep(vault, 3, b"x")  # noqa: F405
    other = NodeVault(store, SECRET, "abcd")
    keep(other, 4, b"x")  # noqa: F405
    session = store.session()
    session.keep(from_sha2_256_digest(next(iter(vault.kept(3)))))
    session.commit("volume-abc-x1", store.pins()[0].root)
    assert (vault.chapters(), other.chapters()) == ({3}, {4})


def test_a_block_is_sealed_under_the_users_secret(store: BlockStore, vault: NodeVault) -> None:
    (sealed,) = keep(vault, 1, b"content" * 100)  # noqa: F405
    assert b"content" not in store.get(from_sha2_256_digest(sealed.digest))
    (other,) = keep(NodeVault(store, bytes(32), "abc"), 2, b"content" * 100)  # noqa: F405
    assert other.digest != sealed.digest
    with pytest.raises(HoldError) as caught:
        vault.read(sealed._replace(key=other.key))
    assert caught.value.kind is Kind.CORRUPT
