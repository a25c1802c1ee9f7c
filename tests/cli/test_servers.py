"""`hold servers`, `hold why` and `hold override` as processes, in a repository of which one grid was joined."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commonhold.formats.blessing import INTRODUCER
from commonhold.grids import files, reading
from commonhold.grids.writing import Entry
from tests.authority.parties import DAY, HOUR, blessing, grid, lists, pin, revocations
from tests.cli.running import runner
from tests.grids.made import LAN, LOOP, PLAIN, TCP, TOR, UNIX, announced

ATTIC = str(pin("attic"))
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command, on the repository `repo` in a directory of its own."""
    toygrid = runner(tmp_path, "tests.cli.toygrid")

    def run(*words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = toygrid(*words, code=code)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    run("init")
    return run


def join(repository: Path, name: str = "family", **config: Any) -> Path:
    """Take part in the blesser's grid; two introducers have shown servers, an hour ago at most."""
    now = int(time.time())
    place = repository / "grids" / name
    place.mkdir(mode=0o700, parents=True)
    place.parent.chmod(0o700)
    said = {"grid": str(grid()), "tor": "tcp:127.0.0.1:9050"} | config
    (place / "grid.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()))

    def blessed(server: str, **other: Any) -> bytes:
        return blessing(server=pin(server), not_before=now - DAY, not_after=now + DAY, classes=("eu",), **other)

    attic = announced("attic", str(TCP), str(TOR), sequence=2, blessings=(blessed("attic"),), not_after=now + DAY)
    older = announced("attic", str(TCP), sequence=1, blessings=(blessed("attic"),), not_after=now + DAY)
    door = announced("attic", purpose=INTRODUCER, blessings=(blessed("attic", purpose=INTRODUCER),))
    for introducer, shown in (("one", (attic, announced("cellar", blessed=False), door)), ("two", (older,))):
        entries = [Entry(data, reading.announced(data), now - 60) for data in shown]
        files.write_cache(place, pin(introducer), entries, PLAIN)
    files.write_lists(place, lists(revocations(issued=now - HOUR, fresh_until=now + HOUR)))
    return place


@pytest.fixture
def family(run: Run, tmp_path: Path) -> Path:
    """A grid that was joined."""
    return join(tmp_path / "repo")


def rows(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("words", [("servers",), ("why", "attic"), ("override", "attic", "tcp:a.example:1")])
def test_without_a_grid_it_says_how_to_join_one(run: Run, words: tuple[str, ...]) -> None:
    told = run(*words, code=1).stderr
    assert "none was joined" in told and "try: hold join INVITATION" in told


def test_the_command_itself_says_the_same_of_a_grid_that_nobody_joined(tmp_path: Path) -> None:
    """The real one, whatever reads its grids."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    for words in (["init"], ["servers"]):
        done = subprocess.run(
            [sys.executable, "-m", "tests.cli.hold", *words],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 1 and "try: hold join INVITATION" in done.stderr


@pytest.mark.parametrize(
    "words", [("servers",), ("why", "attic"), ("override", "attic", "tcp:1.2.3.4:5"), ("servers", "--ask")]
)
def test_a_repository_that_is_none_is_not_taken_for_one_s_own(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    for place in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        assert "not a repository" in run("--repo", str(place), *words, code=10).stderr


@pytest.mark.usefixtures("family")
def test_servers_are_listed_with_what_may_be_done_and_how_they_are_reached(run: Run) -> None:
    head, *lines = run("servers").stdout.splitlines()
    assert head.split() == ["GRID", "NAME", "PIN", "PURPOSE", "MAY", "CLASSES", "LAST", "SEEN", "REACHED"]
    assert len(lines) == 3
    attic = next(line for line in lines if " attic " in line and "storage" in line)
    assert ATTIC[:10] in attic and "upload until 20" in attic and " eu " in attic
    assert attic.endswith(f"{TCP} direct")
    assert any("cellar" in line and "nothing" in line for line in lines)
    told = {(row["name"], row["purpose"]): row for row in rows(run("servers", "--json"))}
    assert told["attic", "storage"]["pin"] == ATTIC and told["attic", "storage"]["upload"]["allowed"]
    assert told["attic", "storage"]["classes"] == ["eu"] and told["attic", "storage"]["seen"] > time.time() - 600
    assert not told["cellar", "storage"]["read"]["allowed"]


def test_what_is_wrong_in_a_file_is_said_by_its_place_and_makes_the_exit_code(run: Run, family: Path) -> None:
    (family / "override.yaml").write_text(f"{ATTIC}:\n  local:\n    hint: []\n")
    done = run("servers", code=1)
    assert f"problem: override.yaml:3:5: {ATTIC[:10]}….local.hint: no such field here" in done.stderr
    assert "not dialled until override.yaml:3:5 is mended" in done.stdout
    problem = rows(run("servers", "--json", code=1))[-1]
    assert (problem["at"], problem["grid"]) == ("override.yaml:3:5", "family")
    (family / "cache" / "x.yaml").write_text("")
    assert "cache/x.yaml:1:1" in run("servers", code=1).stderr


@pytest.mark.usefixtures("family")
def test_why_says_each_verdict_blessing_address_and_what_decided_it(run: Run) -> None:
    text = run("why", ATTIC[:12]).stdout
    introducer, storage = text.split("\n\n")
    assert introducer.startswith(f"attic {ATTIC}, introducer in grid family\nupload: yes: blessed for introducer")
    cached = f"cache/{str(pin('one'))[:10]}….yaml"
    assert f"blessing 7 by {grid()}: valid until " in storage and f"({cached}:" in storage
    assert f"address {TOR} ({cached}:" in storage and "by the proxy tcp:127.0.0.1:9050" in storage
    assert f"introducer {str(pin('two'))[:10]}… shows an older one, number 1" in storage
    assert f"\nannouncement number 2: {cached}:" in storage and "instead of number 1 (cache/" in storage
    row = rows(run("why", "attic", "--json"))[1]
    (line,) = [one["by"].split(":")[1] for one in row["decided"] if one["field"] == "announcement"]
    assert row["decided"][0]["by"].startswith(f"cache/{pin('one')}.yaml:") and int(line) > 4
    assert {one["view"] for one in row["introducers"]} == {"shows the same", "shows an older one"}


def test_a_server_that_is_leaving_is_shown_as_that(run: Run, family: Path) -> None:
    now = int(time.time())
    held = (blessing(not_before=now - DAY, not_after=now + DAY),)
    data = announced("attic", sequence=3, blessings=held, leaving=True)
    files.write_cache(family, pin("three"), [Entry(data, reading.announced(data), now - 60)], PLAIN)
    (line,) = [line for line in run("servers").stdout.splitlines() if " attic " in line and "storage" in line]
    assert "read only, leaving" in line
    assert {row["name"]: row["leaving"] for row in rows(run("servers", "--json")) if row["purpose"] == "storage"} == {
        "attic": True, "cellar": False,
    }  # fmt: skip
    storage = run("why", ATTIC[:12]).stdout.split("\n\n")[1]
    assert "\nupload: no: it says that it is being emptied" in storage and "\nread: yes: blessed" in storage
    assert "\nleaving: what is kept there" in storage and f"\nleaving true: cache/{str(pin('three'))[:10]}" in storage


@pytest.mark.usefixtures("family")
def test_why_of_nobody_and_of_several_is_an_error(run: Run) -> None:
    assert "8 characters" in run("why", "at", code=1).stderr
    assert "hold servers" in run("why", "pantry", code=1).stderr


def test_d23_one_command_overrides_says_what_changed_and_one_takes_it_back(run: Run, family: Path) -> None:
    path = family / "override.yaml"
    path.write_text(
        "# by hand\nversion: 1\n\n# a friend's\n" + str(pin("cellar")) + ":\n  local: {use: false} # till May\n"
    )
    before = path.read_text()
    said = run("override", "attic", str(LAN)).stdout
    assert f'+    hints: ["{LAN}"]' in said and f"\n{LAN}: direct\n" in said
    assert path.read_text().startswith(before) and path.stat().st_mode & 0o777 == 0o600
    assert f"addresses {LAN}: override.yaml:10:12, instead of {TCP}, {TOR} (cache/" in run("why", "attic").stdout
    assert "as it was" in run("override", "attic", str(LAN)).stdout
    assert "-  local:" in run("override", "attic", "--clear").stdout
    assert path.read_text() == before + "\n"
    assert "has no clause" in run("override", "attic", "--clear", code=1).stderr


def test_d11_where_all_is_anonymous_direct_has_to_be_said(run: Run, tmp_path: Path) -> None:
    place = join(tmp_path / "repo", anonymous=True)
    assert "not at all" not in run("servers").stdout.split("storage")[-1]  # by Tor
    refused = run("override", "attic", str(LAN), code=15)
    assert "try: the same with --direct" in refused.stderr and not (place / "override.yaml").exists()
    done = run("override", "attic", str(LAN), "--direct")
    assert f"\n{LAN}: direct\n" in done.stdout and "sees where you are" in done.stderr
    assert "direct: true" in (place / "override.yaml").read_text()
    by_tor = run("override", "attic", str(TOR))
    assert "by the proxy" in by_tor.stdout and "direct: false" in (place / "override.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "takes addresses"),
        ((str(LAN), "--clear"), 2, "takes addresses"),
        (("--clear", "--direct"), 2, "takes addresses"),
        (("tcp:x",), 2, "tcp: is not followed by"),
        (("iroh:abc",), 2, "kind that is not known"),
        (("tcp:a.example:1", "tcp:A.example:1"), 2, "stands there twice"),
        (tuple(f"tcp:a.example:{n + 1}" for n in range(17)), 2, "the limit is 16"),
        ((str(UNIX),), 12, "socket of this machine"),
        (("--direct",), 1, "names no address"),
    ],
)
def test_an_override_that_cannot_be_is_refused_and_nothing_is_written(
    run: Run, family: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in run("override", "attic", *words, code=code).stderr
    assert not (family / "override.yaml").exists()


def test_a_server_of_several_grids_is_asked_back(run: Run, tmp_path: Path, family: Path) -> None:
    other = join(tmp_path / "repo", "friends")
    assert "--grid family" in run("override", "attic", str(LOOP), code=2).stderr
    run("override", "attic", str(LOOP), "--grid", "friends")
    assert (other / "override.yaml").exists() and not (family / "override.yaml").exists()
    assert {row["grid"] for row in rows(run("servers", "--json"))} == {"family", "friends"}
    assert {row["grid"] for row in rows(run("servers", "--json", "--grid", "family"))} == {"family"}
    assert "not joined" in run("servers", "--grid", "work", code=1).stderr


def test_a_clause_that_is_wrong_or_of_nobody_can_be_cleared(run: Run, family: Path) -> None:
    barn = str(pin("barn"))
    (family / "override.yaml").write_text(f"{ATTIC}:\n  local: {{hint: []}}\n{barn}: {{}}\n")
    assert "mend it first" in run("override", "attic", str(LAN), code=1).stderr
    run("override", "attic", "--clear")
    assert "nothing is known of this server" in run("override", barn[:9], "--clear").stdout
    assert (family / "override.yaml").read_text() == ""
