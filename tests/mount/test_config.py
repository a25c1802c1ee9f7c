"""The mount's config: what is there is read, what is not there is as it was, what is wrong is named."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.mount.config import Config, parse, read

WORDS = ("user", "public", "realm")
PATHS = ("at", "socket", "node", "ipfs", "ipns", "hold")


def test_nothing_said_is_the_defaults(tmp_path: Path) -> None:
    empty = tmp_path / "mount.toml"
    empty.write_text("# nothing\n")
    assert read(empty) == parse({}) == Config()
    assert Config().node is None and Config().shown == ()


def test_what_is_said_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mount.toml"
    file.write_text(
        'at = "/mnt/hold"\nhold = "/hold"\nipfs = "/ipfs"\nnode = "/srv/node"\nuser = "m"\nrealm = "home"\n'
    )
    found = read(file)
    assert (found.at, found.node, found.user, found.realm) == (Path("/mnt/hold"), Path("/srv/node"), "m", "home")
    assert found.shown == (("ipfs", Path("/ipfs")), ("hold", Path("/hold")))
    assert (found.socket, found.public) == (Config().socket, Config().public)


def test_every_field_can_be_said() -> None:
    said = dict.fromkeys(PATHS, "/path") | {"user": "u", "public": "p", "realm": "r", "users": [], "groups": []}
    found = parse(said)
    assert all(getattr(found, one.name) is not None for one in fields(Config))
    assert {one.name for one in fields(Config)} == set(said) - {"ipfs", "ipns", "hold"} | {"shown"}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("mount", "/mnt", "no such field"),
        ("", "/mnt", "no such field"),
        ("shown", "/mnt", "no such field"),
        ("AT", "/mnt", "no such field"),
        *((name, value, "not a text") for name in (*PATHS, *WORDS) for value in ("", 7, True, None, ["/"], {"a": "b"})),
        *((name, value, "not an absolute path") for name in PATHS for value in ("mnt", "./mnt", "~/mnt", " /mnt")),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any, why: str) -> None:
    with pytest.raises(HoldError) as refusal:
        parse({name: value})
    assert refusal.value.kind is Kind.USAGE and refusal.value.why.startswith(f"{name}: {why}")


@pytest.mark.parametrize(
    "raw", [b"at = ", b"\xff", b"at = '/a'\nat = '/b'", b"at = 'mnt'", b"[at]\na = 1", b"what = '1'"]
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "mount.toml"
    file.write_bytes(raw)
    with pytest.raises(HoldError) as refusal:
        read(file)
    assert refusal.value.kind is Kind.USAGE and refusal.value.subject == str(file)


def test_a_file_that_is_not_there_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(HoldError) as refusal:
        read(tmp_path / "none.toml")
    assert refusal.value.kind is Kind.NOT_FOUND
