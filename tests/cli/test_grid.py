"""Grids by commands: one is made and served, people and servers join it by codes, and who blesses decides."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commonhold.formats import blessing, invitation
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from tests.cli.running import Hold, hold, last, runner
from tests.grids.blessers import pin
from tests.waiting import SECONDS

__all__ = ["hold"]


@pytest.fixture
def port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def served(home: Path, name: str = "family") -> Iterator["subprocess.Popen[bytes]"]:
    """`hold grid serve`, from when it listens until the block ends; it ends by TERM, and well."""
    environment = os.environ | {"HOME": str(home), "HOLD_REPO": str(home / "repo")}
    words = [sys.executable, "-m", "tests.cli.hold", "grid", "serve", name]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"listening at tcp:127.0.0.1:")
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def make(hold: Hold, port: int) -> str:
    return last(
        hold("grid", "create", "family", "--listen", f"tcp:127.0.0.1:{port}", "--announce", f"tcp:127.0.0.1:{port}")
    )


def told(done: "subprocess.CompletedProcess[bytes]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1])
    return found


def other(tmp_path: Path, name: str) -> Hold:
    """Somebody else, with a home and a repository of their own."""
    (tmp_path / name).mkdir()
    run = runner(tmp_path / name)
    run("init")
    return run


@pytest.mark.slow
def test_people_join_by_codes_that_are_read_out_or_pasted(hold: Hold, tmp_path: Path, port: int) -> None:
    grid = make(hold, port)
    alice, bob = other(tmp_path, "alice"), other(tmp_path, "bob")
    with served(tmp_path):
        short = told(hold("--json", "invite", "alice", "--quota", "100G"))
        assert short["short"] and short["code"].endswith(f"@127.0.0.1:{port}")
        joined = told(alice("--json", "join", short["code"]))
        assert (joined["grid"], joined["account"], joined["state"]) == (grid, "alice", "joined")
        long = last(hold("invite", "bob", "--quota", "5G", "--long", "--expires", "2d"))
        assert last(bob("join", long, "--name", "ours")) == "joined ours as bob"
        assert last(bob("join", long, "--name", "ours")) == "joined ours as bob"
        assert b"E-BLESSING" in bob("join", long, "--name", "again", code=14).stderr
        assert sorted(path.name for path in (tmp_path / "bob/repo/grids").iterdir()) == ["ours"]
        listed = told(hold("--json", "grid", "list", "family"))
        assert {one["account"]: one["quota"] for one in listed["accounts"]} == {"alice": 100 << 30, "bob": 5 << 30}
        assert "account alice: 100.0 GiB, until " in hold("grid", "list", "family").stdout.decode()
        serial = next(one["serial"] for one in listed["issued"] if one["account"] == "alice")
        assert told(hold("--json", "grid", "revoke", "alice"))["serials"] == [serial]
        assert "account alice: 100.0 GiB, revoked" in hold("grid", "list", "family").stdout.decode()
        hold("grid", "restore", "alice")
    assert "account alice: 100.0 GiB" in hold("grid", "list", "family").stdout.decode()


@pytest.mark.slow
def test_a_wrong_word_burns_a_code_and_both_ends_say_so(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    with served(tmp_path):
        environment = os.environ | {"HOME": str(tmp_path), "HOLD_REPO": str(tmp_path / "repo")}
        words = [sys.executable, "-m", "tests.cli.hold", "invite", "alice", "--quota", "1G", "--wait"]
        waiting = subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert waiting.stdout is not None
        code = waiting.stdout.readline().decode().strip()
        plate = code.partition("-")[0]
        wrong = f"{plate}-acorn-acorn-acorn@{code.partition('@')[2]}"
        assert b"burnt" in hold("join", wrong, code=12).stderr
        _, said = waiting.communicate(timeout=SECONDS)
        assert waiting.returncode == 12 and b"burnt" in said
        assert b"no such code" in hold("join", code, code=1).stderr
        assert not (tmp_path / "repo/grids/family/grid.toml").exists()


@pytest.mark.slow
def test_a_blinded_account_joins_and_its_blesser_counts_and_withdraws(hold: Hold, tmp_path: Path, port: int) -> None:
    where = f"tcp:127.0.0.1:{port}"
    hold("grid", "create", "family", "--listen", where, "--announce", where, "--blinded", "10G", "--blinded", "1G")
    alice = other(tmp_path, "alice")
    with served(tmp_path):
        code = last(hold("invite", "alice", "--quota", "5G", "--long"))
        assert told(alice("--json", "join", code, "--blinded"))["state"] == "joined"
        assert last(alice("join", code, "--blinded")) == "joined family as alice, blinded"
        assert b"E-EXISTS" in alice("join", code, code=1).stderr
        assert 'mode = "blinded"' in (tmp_path / "alice/repo/grids/family/grid.toml").read_text()
        listed = told(hold("--json", "grid", "list", "family"))
        assert [one["account"] for one in listed["accounts"]] == ["alice"] and not listed["issued"]
        assert [one["quota"] for one in listed["mints"]] == [1 << 30, 10 << 30] * 2
        assert "blinded 1.0 GiB, " in hold("grid", "list", "family").stdout.decode()
        assert told(hold("--json", "grid", "remint", "--denomination", "1G"))["withdrawn"] == 2
        assert b"no key" in hold("grid", "remint", "--denomination", "7G", code=1).stderr
        small = last(hold("invite", "bob", "--quota", "5M", "--long"))
        assert b"E-BLESSING" in alice("join", small, "--blinded", "--name", "small", code=14).stderr
        assert not (tmp_path / "alice/repo/grids/small").exists()


@pytest.mark.slow
def test_whoever_made_a_grid_may_join_it_too(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    with served(tmp_path):
        hold("join", last(hold("invite", "me", "--quota", "1G")))
        names = {path.name for path in (tmp_path / "repo/grids/family").iterdir()}
        assert {"blesser.pem", "account.key", "grid.toml"} <= names


@pytest.mark.slow
def test_a_server_joins_by_its_own_kind_of_code(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    code = last(hold("invite", "--server", "--purpose", "storage", "--class", "attic", "--long"))
    assert (
        b"no server"
        in hold("join", last(hold("invite", "bob", "--quota", "1G", "--long")), "--server", "x", code=2).stderr
    )
    assert b"a server's" in hold("join", code, code=2).stderr
    assert "enrols when it runs" in last(hold("join", code, "--server", str(tmp_path / "attic")))
    assert {path.name for path in (tmp_path / "attic").iterdir()} == {"grid.toml", "ticket"}


@pytest.mark.slow
def test_a_short_code_that_was_used_in_a_wrong_place_is_given_back_as_a_long_one(
    hold: Hold, tmp_path: Path, port: int
) -> None:
    make(hold, port)
    with served(tmp_path):
        done = hold("invite", "--server")
        assert b"hold join CODE --server DIR" in done.stderr
        said = hold("join", last(done), code=2).stderr.decode()
        (code,) = (word for word in said.split() if invitation.looks_like(word))
        joined = last(hold("join", code, "--server", str(tmp_path / "s")))
        assert "used up" in said and joined == "joined family: it enrols when it runs"
        assert b"used up" not in hold("join", code, code=2).stderr


def test_without_a_blesser_that_runs_codes_are_long_and_it_is_said(hold: Hold, port: int) -> None:
    make(hold, port)
    done = hold("invite", "alice", "--quota", "1G")
    assert b"does not run" in done.stderr and invitation.parse(last(done)).account == "alice"
    assert b"--wait" in hold("invite", "bob", "--quota", "1G", "--wait", code=2).stderr


def test_a_server_is_blessed_by_a_file(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    hold("grid", "bless", str(pin(1)), "--class", "attic", "--days", "90", "-o", "attic.blessing")
    said = blessing.parse(decode(Said.BLESSING, (tmp_path / "attic.blessing").read_bytes()))
    assert said.server == pin(1) and said.classes == ("attic",) and said.not_after - said.not_before == 90 * 86_400
    assert b"E-EXISTS" in hold("grid", "bless", str(pin(1)), "-o", "attic.blessing", code=1).stderr
    assert b"no file" in hold("grid", "bless", "nobody", code=2).stderr
    hold("grid", "revoke", str(pin(1)))
    assert f"server {pin(1)}: storage as attic, revoked" in hold("grid", "list", "family").stdout.decode()


def test_several_blessers_of_one_grid(hold: Hold, tmp_path: Path, port: int) -> None:
    grid = make(hold, port)
    done = hold("grid", "create", "second", "--grid", grid, "--accounts", "repo/grids/family/accounts.key")
    assert last(done) == grid and b"have to name" in done.stderr
    shown = told(hold("--json", "grid", "show", "second"))
    assert shown["grid"] == grid and shown["blesser"] != grid
    secrets = [(tmp_path / f"repo/grids/{name}/accounts.key").read_bytes() for name in ("family", "second")]
    assert secrets[0] == secrets[1]
    listed = hold("grid", "list").stdout.decode().splitlines()
    assert listed == ["family: not served", "second: not served"]
    assert b"you have 2 blessers" in hold("invite", "a", "--quota", "1G", code=2).stderr
    text = (tmp_path / "repo/grids/family/blesser.toml").read_text()
    entry = f'[[blessers]]\nkey = "{shown["blesser"]}"\npin = "{shown["pin"]}"\naddresses = []\n\n'
    changed = text.replace("[purposes", entry + "[purposes", 1)
    changed = changed.replace(
        f'blessers = ["{grid}"]\nneeded = 1', f'blessers = ["{grid}", "{shown["blesser"]}"]\nneeded = 2'
    )
    (tmp_path / "repo/grids/family/blesser.toml").write_text(changed)
    code = invitation.parse(last(hold("invite", "alice", "--quota", "1G", "--grid", "family", "--long")))
    assert all(quorum.needed == len(quorum.blessers) == 2 for _, quorum in code.charter.purposes)


def test_an_anonymous_member_is_refused_before_a_code_is_used_up(hold: Hold, port: int) -> None:
    make(hold, port)
    code = last(hold("invite", "alice", "--quota", "1G", "--long"))
    assert b"--tor" in hold("join", code, "--anonymous", code=2).stderr
    tor = ("--anonymous", "--tor", "tcp:127.0.0.1:9050")
    assert b"--blinded" in hold("join", code, *tor, "--name", "a", code=15).stderr
    assert b"--no-account" in hold("join", "7-quiet-harbour-lantern@attic.example", *tor, code=15).stderr
    assert "without an account" in last(hold("join", code, *tor, "--no-account", "--name", "a"))


def test_a_blesser_that_is_away_keeps_nobody_from_joining(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    code = last(hold("invite", "alice", "--quota", "1G", "--long"))
    alice = other(tmp_path, "alice")
    assert told(alice("--json", "join", code))["state"] == "pending"
    with served(tmp_path):
        assert told(alice("--json", "join", code))["state"] == "joined"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("grid create A", 2, "small letters"),
        ("grid create family --listen attic", 2, "scheme"),
        ("grid create family --listen tcp:attic.example:1", 2, "NUMBER"),
        ("grid create family --grid gx", 2, "letters and digits"),
        ("grid serve family", 1, "hold grid create family"),
        ("grid list family", 1, "hold grid create family"),
        ("invite alice --quota 1G", 2, "hold grid create NAME"),
        ("invite alice", 2, "hold invite NAME --quota 100G"),
        ("invite --server --quota 1G", 2, "no quota"),
        ("invite alice --quota 1G --purpose storage", 2, "hold invite --server"),
        ("join nonsense", 2, "copy the whole of it"),
        ("join hold-join1abc", 2, "copy the whole of it"),
        ("join hold-join2abc", 2, "version"),
        ("join 7-quiet-harbour@attic.example", 2, "3 words"),
        ("join 7-quiet-harbour-latern@attic.example", 2, "'latern'"),
        ("join 7-quiet-harbour-lantern", 2, "@HOST"),
        ("join 7-quiet-harbour-lantern@127.0.0.1:1", 11, "127.0.0.1:1"),
        ("join x --anonymous --tor nonsense --no-account", 2, "--tor"),
    ],
)
def test_what_is_wrong_with_the_words_is_said(hold: Hold, words: str, code: int, said: str) -> None:
    assert said in hold(*words.split(), code=code).stderr.decode()


def test_a_blesser_without_an_address_is_not_served(hold: Hold) -> None:
    hold("grid", "create", "family")
    assert b'listen = ["tcp:0.0.0.0:4653"]' in hold("grid", "serve", "family", code=2).stderr


def test_a_blesser_is_served_once_and_heeds_its_owner_alone(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    with served(tmp_path):
        socket_path = tmp_path / "repo/grids/family/control.sock"
        assert socket_path.stat().st_mode & 0o777 == 0o600
        assert b"E-BUSY" in hold("grid", "serve", "family", code=1).stderr
    assert not socket_path.exists()


@pytest.mark.slow
def test_a_blesser_that_is_killed_goes_on_where_it_was(hold: Hold, tmp_path: Path, port: int) -> None:
    make(hold, port)
    alice = other(tmp_path, "alice")
    with served(tmp_path) as process:
        code = last(hold("invite", "alice", "--quota", "1G", "--long"))
        process.kill()
        process.wait()
    with served(tmp_path):
        assert last(alice("join", code)) == "joined family as alice"
        assert told(hold("--json", "grid", "list", "family"))["sequence"] == 2
