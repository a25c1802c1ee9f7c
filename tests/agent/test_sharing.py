"""What is linked to is what a grid keeps: nothing is put there unasked, and nothing for a link that cannot be made."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from commonhold.agent.files import LocalFiles
from commonhold.agent.gridding import OwnGrids
from commonhold.agent.opened import Opened
from commonhold.agent.sharing import Sharer
from commonhold.api import BlockStore
from commonhold.blockstore.store import Store, create
from commonhold.calls import Adding, KeptTree, OsPath, Sharing, Watcher
from commonhold.cli.embedded import Embedded
from commonhold.cli.output import Output
from commonhold.cli.watching import Watch
from commonhold.crypto.hpke import Receiver
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import KeptSet
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.link import Link, ReceivingKey
from commonhold.formats.pin import GridId
from commonhold.sealing.sharing import open_link, receiving_key

FAMILY, VILLAGE = GridId(b"f" * 32), GridId(b"v" * 32)
BOB = Receiver(bytes(range(32)))
OPEN = Sharing()


class Grid:
    """One that keeps what it was told."""

    def __init__(self, name: str, grid: GridId) -> None:
        self.name = name
        self.grid = grid
        self.kept: list[VerifyCapability] = []

    def keeps(self, capability: VerifyCapability) -> bool:
        return capability in self.kept

    def sets(self) -> list[KeptSet]:
        return []


class Grids:
    """Two that were joined."""

    def __init__(self, store: BlockStore) -> None:
        self.all = {"family": Grid("family", FAMILY), "village": Grid("village", VILLAGE)}
        self.any = True
        self._store = store

    def names(self) -> list[str]:
        return list(self.all)

    def one(self, name: str | None) -> Grid:
        return self.all[name or "family"]

    def of(self, grid: GridId) -> list[Grid]:
        return [one for one in self.all.values() if one.grid == grid]

    def source(self, capability: ReadCapability, grid: GridId | None = None) -> BlockStore:
        return self._store

    def close(self) -> None:
        """Nothing is open."""


class Here:
    """A repository, two grids, and what was put on them."""

    def __init__(self, repository: Opened) -> None:
        self.opened = repository
        self.grids = Grids(repository.store)
        repository._grids = cast(OwnGrids, self.grids)
        self.put: list[tuple[str, str | None, str | None]] = []
        self.watcher = Watch(Output(json=False, quiet=True), "sent")

    def _keep(self, what: str, name: str | None, grid: str | None, watcher: Watcher) -> KeptTree:
        self.put.append((what, name, grid))
        return KeptTree(str(grid), str(name), "3-of-5", 1, 0, 0, None, None, None, "")

    def share(self, what: str, how: Sharing = OPEN) -> tuple[str, str, bool]:
        return tuple(Sharer(self.opened, self.opened.own, self._keep).share(what, how, self.watcher))  # type: ignore[return-value]

    def add(self, path: Path) -> str:
        made = LocalFiles(self.opened, None)
        made._own = self.opened.path
        capability = made.add([OsPath(path)], Adding(sealed=True, recursive=True), None, self.watcher).capability
        assert capability is not None
        return capability


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    create(tmp_path / "repo")
    with Store(tmp_path / "repo") as store:
        repository = Embedded(tmp_path / "repo", store)
        try:
            yield Here(repository)
        finally:
            repository.close()


@pytest.fixture
def tree(here: Here, tmp_path: Path) -> str:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_bytes(b"content")
    return here.add(tmp_path / "tree")


def kept(here: Here, text: str) -> VerifyCapability:
    """Have the family's grid keep what a text opens."""
    from commonhold.agent.naming import unread

    verify = unread(here.opened.named(text), here.opened.store)
    assert verify is not None
    here.grids.all["family"].kept.append(verify)
    return verify


def test_what_no_grid_keeps_is_put_there_only_if_that_is_asked_for(here: Here, tree: str) -> None:
    with pytest.raises(HoldError) as error:
        here.share(tree)
    assert (error.value.kind, here.put) == (Kind.NOT_FOUND, []) and "--keep" in error.value.hint
    grid, text, put = here.share(tree, Sharing(keep=True, name="monday", grid="village"))
    assert (grid, put, here.put) == ("village", True, [(tree, "monday", "village")])
    link = links.parse(text)
    assert isinstance(link, Link) and link.grid == VILLAGE and str(link.capability) == tree


def test_what_is_kept_is_not_put_there_again(here: Here, tree: str) -> None:
    kept(here, tree)
    grid, _, put = here.share(tree, Sharing(keep=True))
    assert (grid, put, here.put) == ("family", False, [])


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)])
def test_nothing_is_put_there_for_a_key_that_is_of_no_use(here: Here, tree: str, key: bytes) -> None:
    with pytest.raises(HoldError) as error:
        here.share(tree, Sharing(str(ReceivingKey(FAMILY, key)), keep=True))
    assert (error.value.kind, here.put) == (Kind.USAGE, [])


def test_what_is_sealed_for_one_is_of_that_ones_grid(here: Here, tree: str) -> None:
    _, text, _ = here.share(tree, Sharing(str(receiving_key(BOB, VILLAGE)), keep=True))
    sealed = links.parse(text)
    assert isinstance(sealed, links.SealedLink) and here.put[0][2] == "village"
    assert open_link(sealed, BOB) == Link(VILLAGE, links.parse(here.share(tree, Sharing(keep=True))[1]).capability)  # type: ignore[union-attr]
    with pytest.raises(HoldError, match="not family"):
        here.share(tree, Sharing(str(receiving_key(BOB, VILLAGE)), "family", True))


def test_a_part_is_shared_without_the_rest(here: Here, tree: str) -> None:
    with pytest.raises(HoldError):
        here.share(f"{tree}/sub")
    verify = kept(here, f"{tree}/sub")
    _, text, put = here.share(f"{tree}/sub")
    link = links.parse(text)
    assert isinstance(link, Link) and link.capability.digest == verify.digest and not put
    blocks, root = here.opened.find(here.opened.named(f"{text}/file"))
    assert blocks.stat(root).size == 7 and str(link.capability) != tree
    assert here.share(f"{text}", Sharing())[1] == text


def test_a_link_is_shared_on_by_its_own_grid(here: Here, tree: str) -> None:
    here.grids.all["village"].kept.append(kept(here, tree))
    text = here.share(tree, Sharing(grid="village"))[1]
    assert here.share(text)[0] == "village" and here.share(text, Sharing(grid="family"))[0] == "family"
