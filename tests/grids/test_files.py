"""The files on disk: whose they are, whole replacement, and what becomes of one that cannot be read."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind
from commonhold.grids import files, places, reading
from commonhold.grids.writing import Entry
from commonhold.transport.rules import Rules
from tests.authority.parties import NOW, grid, lists, pin, revocations
from tests.grids.made import LAN, PLAIN, TRUST, announced, filled

ME = os.geteuid()
ATTIC = pin("attic")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A grid's directory."""
    found = tmp_path / "grids" / "family"
    found.mkdir(parents=True)
    for one in (found, found.parent):
        one.chmod(0o700)
    return found


def entry(data: bytes) -> Entry:
    return Entry(data, reading.announced(data), NOW)


def test_d5_each_introducers_cache_is_a_private_file_of_its_own(place: Path) -> None:
    for name in ("a", "b"):
        files.write_cache(place, pin(name), [entry(announced("attic"))], PLAIN)
    assert sorted(os.listdir(place / "cache")) == sorted(f"{pin(name)}.yaml" for name in ("a", "b"))
    assert {path.stat().st_mode & 0o777 for path in (place / "cache").iterdir()} == {0o600}
    assert (place / "cache").stat().st_mode & 0o777 == 0o700
    found = files.read(place, ME)
    assert {file.introducer for file in found.caches} == {pin("a"), pin("b")}
    assert found.override_data == b"" and not found.override.clauses and not found.problems
    assert set(files.read_cache(place, pin("a"), ME).clauses) == {ATTIC}
    assert not files.read_cache(place, pin("c"), ME).clauses


def test_those_who_write_a_cache_at_once_do_not_get_in_each_others_way(place: Path) -> None:
    shown = [[entry(announced(name))] for name in ("attic", "cellar")]
    with ThreadPoolExecutor(4) as threads:
        written = threads.map(lambda number: files.write_cache(place, pin("a"), shown[number % 2], PLAIN), range(40))
        whole = {made.data for made in written}
    (path,) = (place / "cache").iterdir()
    assert path.read_bytes() in whole


def test_a_grid_of_which_nothing_is_known_yet_is_no_error(place: Path) -> None:
    assert files.read(place, ME).caches == ()


def test_a_cache_that_cannot_be_read_is_a_problem_and_the_others_count(place: Path) -> None:
    for name in ("a", "b", "c", "d"):
        files.write_cache(place, pin(name), [entry(announced("attic"))], PLAIN)
    paths = {name: place / "cache" / f"{pin(name)}.yaml" for name in "abcd"}
    paths["a"].chmod(0o622)
    paths["b"].unlink()
    paths["b"].symlink_to(paths["d"])
    paths["c"].write_bytes(b"x" * ((4 << 20) + 1))
    (place / "cache" / "mine.yaml").write_text("")
    (place / "cache" / f"{pin('d')}.yaml.new").write_text("{")  # what a power cut left
    found = files.read(place, ME)
    assert [file.introducer for file in found.caches] == [pin("d")]
    assert {problem.place.file for problem in found.problems} == {
        "cache/mine.yaml", *(f"cache/{pin(name)}.yaml" for name in "abc"),
    }  # fmt: skip


def test_no_more_than_64_caches_are_read_and_that_is_said(place: Path) -> None:
    for number in range(65):
        files.write_cache(place, pin(f"i{number}"), [], PLAIN)
    found = files.read(place, ME)
    assert len(found.caches) == files.MAX_CACHES == 64 and "65 caches" in str(found.problems[0])


@pytest.mark.parametrize("mode", [0o622, 0o666, 0o620])
def test_an_override_that_others_could_write_is_an_error(place: Path, mode: int) -> None:
    (place / "override.yaml").write_bytes(filled("{attic}: {}\n"))
    (place / "override.yaml").chmod(mode)
    with pytest.raises(HoldError) as error:
        files.read(place, ME)
    assert error.value.kind is Kind.DENIED and "chmod 600" in error.value.hint


def test_an_override_that_others_could_only_read_is_kept_from_them_by_the_directory(place: Path) -> None:
    (place / "override.yaml").write_bytes(filled(f"{{attic}}: {{local: {{hints: [{LAN}]}}}}\n"))
    (place / "override.yaml").chmod(0o644)
    assert set(files.read(place, ME).override.clauses) == {ATTIC}
    place.chmod(0o755)
    with pytest.raises(HoldError) as error:
        files.read(place, ME)
    assert error.value.kind is Kind.DENIED and error.value.hint == f"chmod 700 {place}"


@pytest.mark.parametrize("what", ["directory", "fifo", "link", "large"])
def test_an_override_that_is_no_plain_file_is_an_error_and_never_as_good_as_none(place: Path, what: str) -> None:
    path = place / "override.yaml"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(place / "nowhere")
    else:
        path.write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(HoldError):
        files.read(place, ME)


def test_an_override_is_replaced_whole_and_only_where_it_is_what_was_read(place: Path) -> None:
    files.replace_override(place, b"", b"# one\n", ME)
    files.replace_override(place, b"# one\n", b"# two\n", ME)
    with pytest.raises(HoldError) as error:
        files.replace_override(place, b"# one\n", b"# three\n", ME)
    assert error.value.kind is Kind.CHANGED
    assert (place / "override.yaml").read_bytes() == b"# two\n" and os.listdir(place) == ["override.yaml"]


def test_revocation_lists_outlast_the_process_and_newer_ones_stay(place: Path) -> None:
    first, second = lists(revocations(1, sequence=1)), lists(revocations(2, sequence=2))
    files.write_lists(place, first)
    files.write_lists(place, second)
    found = files.read_lists(place, TRUST, ME)
    assert found.kept == second.kept and found.revoked(grid().blesser, grid(), 2)
    assert len(os.listdir(place / "revocations")) == 1
    for path in (place / "revocations").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert files.read_lists(place, TRUST, ME).kept == ()


# ── Where grids are ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Membership:
    """As simple as can be."""

    name: str
    directory: Path
    trust: Trust = TRUST
    rules: Rules = PLAIN


def load(directory: Path) -> Membership:
    return Membership(directory.name, directory)


def test_the_grids_that_were_joined_are_found_by_their_config(tmp_path: Path, place: Path) -> None:
    with pytest.raises(HoldError) as error:
        places.joined(tmp_path, ME, load)
    assert error.value.kind is Kind.NOT_FOUND and "hold join" in error.value.hint
    (place / "grid.toml").write_text("")
    (place.parent / "friends").mkdir(mode=0o700)
    assert [one.name for one in places.joined(tmp_path, ME, load)] == ["family"]
    (place.parent / "friends" / "grid.toml").write_text("")
    assert [one.name for one in places.joined(tmp_path, ME, load)] == ["family", "friends"]
    assert [one.name for one in places.joined(tmp_path, ME, load, "friends")] == ["friends"]
    with pytest.raises(HoldError) as error:
        places.joined(tmp_path, ME, load, "work")
    assert error.value.kind is Kind.NOT_FOUND and error.value.hint == "--grid family"


@pytest.mark.parametrize("level", [0, 1])
def test_a_grid_that_others_can_get_at_is_refused(tmp_path: Path, place: Path, level: int) -> None:
    (place / "grid.toml").write_text("")
    (place, place.parent)[level].chmod(0o750)
    with pytest.raises(HoldError) as error:
        places.joined(tmp_path, ME, load)
    assert error.value.kind is Kind.DENIED
