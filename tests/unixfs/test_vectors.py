"""Every tree of the vectors gets the CID that Kubo gives it, and reads back as what its recipe says."""

from dataclasses import replace
from typing import Any

import pytest

from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Mtime, Type
from commonhold.unixfs import profile, read, run
from commonhold.unixfs.build import build_symlink
from commonhold.unixfs.profile import Profile
from tests import vectors
from tests.unixfs.trees import Memory, children, content

OPTIONS = {"hidden", "mode", "mtime", "raw_leaves", "max_file_links"}
CASES = vectors.cases("unixfs")


def chosen(case: dict[str, Any]) -> Profile:
    """The profile of a case, with what its options change."""
    options = case.get("options", {})
    assert set(options) <= OPTIONS, "an option that these tests would pass over"
    found = profile.by_name(case["profile"])
    if options.get("mode") or options.get("mtime"):
        found = profile.with_attributes(found)
    assert options.get("raw_leaves", found.raw_leaves) == found.raw_leaves
    return replace(found, width=options.get("max_file_links", found.width))


def built(memory: Memory, case: dict[str, Any]) -> Cid:
    found = chosen(case)
    kind, _, size = case.get("chunker", f"size-{found.chunk_size}").partition("-")
    assert kind == "size"
    return memory.tree(found, case["tree"], int(size), hidden=case.get("options", {}).get("hidden", True)).cid


def leaves(case: dict[str, Any]) -> int:
    recipe = case["tree"].get("file", case["tree"])
    size = recipe.get("zeros") or recipe.get("stream", {}).get("bytes", 0)
    return int(size) // int(case.get("chunker", "size-1048576").split("-")[1])


def parameters(cases: list[dict[str, Any]]) -> list[Any]:
    """Files of hundreds of thousands of leaves take seconds each."""
    return [
        pytest.param(
            case,
            id=f"{case['name']}-{case['profile']}",
            marks=[pytest.mark.slow] if leaves(case) > 200_000 else [],
        )
        for case in cases
    ]


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_tree_gets_kubos_cid_and_reads_back(case: dict[str, Any]) -> None:
    memory = Memory(leaves=leaves(case) < 2000)
    root = built(memory, case)
    if "block" in case:
        assert memory.blocks[root].hex() == case["block"]
    assert str(root) == case["cid"]
    if leaves(case) < 2000 and case["tree"].get("many", {}).get("count", 0) <= 20_000:
        check(memory, root, case)


def check(memory: Memory, root: Cid, case: dict[str, Any]) -> None:
    """Read a tree as its recipe; of wide directories all names, and what is behind the first of them."""
    hidden = case.get("options", {}).get("hidden", True)
    stack = [(root, case["tree"])]
    while stack:
        cid, recipe = stack.pop()
        info = run.run(read.stat(cid), memory.fetch)
        if info.type is not Type.SYMLINK:
            assert info.mode == (recipe.get("mode") or None if "file" in recipe else recipe.get("mode"))
        assert info.mtime == (Mtime(*recipe["mtime"]) if "mtime" in recipe else None)
        if "symlink" in recipe:
            assert info.target == recipe["symlink"]
        elif "dir" in recipe or "many" in recipe:
            below = {name: part for name, part in children(recipe) if hidden or not name.startswith(".")}
            entries = {entry.name: entry.cid for entry in memory.entries(cid)}
            assert entries.keys() == below.keys()
            stack += [(entries[name], below[name]) for name in list(below)[:20]]
        else:
            assert memory.bytes_of(cid) == content(recipe.get("file", recipe))
            assert info.size == len(content(recipe.get("file", recipe)))


T, U, N = Mtime(1604320482), Mtime(1603539720), Mtime(1603539720, 54321)


@pytest.mark.parametrize(
    ("mode", "mtime", "cid"),
    [
        (0o640, None, "QmQLgxypSNGNFTuUPGCecq6dDEjb6hNB5xSyVmP3cEuNtq"),
        (None, T, "QmQ6kErEW8kztQFV8vbwNU8E4dmtGsYpRiboiLxUEwibvj"),
        (0o640, T, "QmYkvboLsvLFcSYmqVJRxvBdYRQLroLv9kELf3LRiCqBri"),
        (0o764, None, "QmchD3BN8TQ3RW6jPLxSaNkqvfuj7syKhzTRmL4EpyY1Nz"),
        (None, U, "QmT3aY4avDcYXCWpU8CJzqUkW7YEuEsx36S8cTNoLcuK1B"),
        (None, N, "QmaKH8H5rXBUBCX4vdxi7ktGQEL7wejV7L9rX2qpZjwncz"),
        (0o764, N, "QmUkxrtBA8tPjwCYz1HrsoRfDz6NgKut3asVeHVQNH4C8L"),
        (0, None, "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    ],
)
def test_an_empty_file_has_the_attributes_of_kubos_own_tests(mode: int | None, mtime: Mtime | None, cid: str) -> None:
    """Kubo, test/sharness/t0047-add-mode-mtime.sh; the last: a mode of 0 is none."""
    assert str(Memory().file(profile.V0_2015, b"", 1, mode, mtime).cid) == cid


@pytest.mark.parametrize(
    ("mode", "mtime", "cid"),
    [
        (0o755, None, "QmRviohgafvCsbkiTgfQFipbuXJ6k1YtoiaQW4quttJPKu"),
        (None, Mtime(1655158722), "QmYMy7CZGb498QFSQBF5ZFwv1FYbrAtYZMe4VxhDXxAcvf"),
        (0o713, None, "QmQ1ABnw2iip7sj23EzzBZ9T77KyyfESP6SUboiXPyzNQe"),
        (None, U, "QmfWitW6F13WHFXLbJzXRYmwrS1p4gaAJAfucUSMytRPn3"),
        (None, N, "QmZFdCLJay31hT3Tx1LygJ7XfiLEs3qLCXtbeBfhf38aZg"),
    ],
)
def test_an_empty_directory_has_the_attributes_of_kubos_own_tests(
    mode: int | None, mtime: Mtime | None, cid: str
) -> None:
    assert str(Memory().directory(profile.V0_2015, [], mode, mtime).cid) == cid


@pytest.mark.parametrize(
    ("mtime", "cid"),
    [
        (T, "QmbJwotgtr84JxcnjpwJ86uZiyMoxbZuNH4YrdJMypkYaB"),
        (U, "QmV1Uot2gy4bhY9yvYiZxhhchhyYC6MKKoGV1XtWNmpCLe"),
        (N, "QmPHYCxYvvHj6VxiPNJ3kXxcPsnJLDYUJqsDJWjvytmrmY"),
    ],
)
def test_a_symbolic_link_has_the_time_of_kubos_own_tests(mtime: Mtime, cid: str) -> None:
    assert str(build_symlink(profile.V0_2015, "nothing", mtime)[0].cid) == cid
