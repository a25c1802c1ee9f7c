"""A membership is written once, reads back as it was, and refuses what would give an anonymous member away."""

import os
from pathlib import Path
from typing import Any

import pytest

from commonhold.blesser.office import Office
from commonhold.errors import HoldError, Kind
from commonhold.formats import chartertext
from commonhold.formats.blessing import STORAGE
from commonhold.formats.hint import TcpHint
from commonhold.formats.invitation import Invitation
from commonhold.grids import holder, joining, membership
from commonhold.grids.accounts import AccountEnrolment
from commonhold.grids.joining import Choice
from commonhold.grids.membership import Keep, Mode
from commonhold.transport.rules import Rules, Way
from tests.grids.blessers import DAY, GIB, NOW, Clock, make_home, office

TOR = Rules(anonymous=True, tcp=Way.TOR, tor=TcpHint("127.0.0.1", 9050))


@pytest.fixture
def invited(tmp_path: Path) -> Invitation:
    make_home(tmp_path / "family", "tcp:127.0.0.1:4653")
    with office(tmp_path / "family", Clock()) as found:
        return found.invite_account("alice", GIB, DAY)


def invited_server(found: Office) -> Invitation:
    return found.invite_server((STORAGE,), ("attic",), DAY)


def joined(invitation: Invitation, path: Path, choice: Choice | None = None, now: int = NOW) -> joining.Joined:
    return joining.join(invitation, path, choice or Choice(Rules()), now, os.urandom)


def test_a_membership_reads_back_as_it_was_joined(invited: Invitation, tmp_path: Path) -> None:
    path = tmp_path / "grids" / "home"
    made = joined(invited, path).membership
    assert membership.load(path) == made
    assert (made.name, made.account, made.grid, made.keep) == ("home", "alice", invited.charter.grid, Keep(3, 5))
    assert made.trust.grids[0].rules[STORAGE].blessers == {invited.by}
    assert {one.name: one.stat().st_mode & 0o777 for one in path.iterdir()} == {
        "grid.toml": 0o600, "account.key": 0o600, "ticket": 0o600,
    }  # fmt: skip
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o777 == 0o700


def test_the_same_code_goes_on_and_another_is_refused(invited: Invitation, tmp_path: Path) -> None:
    path = tmp_path / "home"
    first = joined(invited, path).membership
    secret, text = holder.secret(path), (path / "grid.toml").read_bytes()
    assert joined(invited, path).membership == first and joined(invited, path).made == ()
    assert holder.secret(path) == secret and (path / "grid.toml").read_bytes() == text
    with office(tmp_path / "family", Clock()) as found:
        other = found.invite_account("bob", GIB, DAY)
    with pytest.raises(HoldError, match="as alice") as error:
        joined(other, path)
    assert error.value.kind is Kind.EXISTS


def test_what_was_broken_off_before_the_file_was_there_is_begun_again(invited: Invitation, tmp_path: Path) -> None:
    path = tmp_path / "home"
    joined(invited, path)
    (path / "grid.toml").unlink()
    secret = holder.secret(path)
    assert joined(invited, path).made == ("grid.toml", "ticket") and holder.secret(path) == secret


def test_what_was_refused_leaves_nothing_and_takes_nothing_that_was_there(invited: Invitation, tmp_path: Path) -> None:
    path = tmp_path / "home"
    joining.undo(joined(invited, path))
    assert not path.exists()
    path.mkdir(mode=0o700)
    (path / "override.yaml").write_text("mine")
    joining.undo(joined(invited, path))
    assert [one.name for one in path.iterdir()] == ["override.yaml"]
    joined(invited, path)
    joining.undo(joined(invited, path))  # it was there before
    assert (path / "grid.toml").exists()


def test_a_code_that_has_expired_joins_nothing(invited: Invitation, tmp_path: Path) -> None:
    with pytest.raises(HoldError, match="it was good until"):
        joined(invited, tmp_path / "home", now=NOW + DAY + 300)
    assert not (tmp_path / "home").exists()


def test_an_anonymous_member_has_no_account_when_joining_and_when_read(invited: Invitation, tmp_path: Path) -> None:
    """D19."""
    path = tmp_path / "home"
    with pytest.raises(HoldError) as error:
        joined(invited, path, Choice(TOR))
    assert error.value.kind is Kind.ANONYMITY and "--no-account" in error.value.hint and not path.exists()
    joined(invited, path)
    text = (path / "grid.toml").read_text()
    (path / "grid.toml").write_text(text.replace("anonymous = false", "anonymous = true"))
    with pytest.raises(HoldError) as error:
        membership.load(path)
    assert error.value.kind is Kind.ANONYMITY


def test_without_an_account_the_ticket_is_not_used_and_there_is_no_key(invited: Invitation, tmp_path: Path) -> None:
    path = tmp_path / "home"
    made = joined(invited, path, Choice(TOR, Mode.NONE)).membership
    assert made.account == "" and made.rules == TOR and membership.load(path) == made
    assert [one.name for one in path.iterdir()] == ["grid.toml"]
    with pytest.raises(HoldError, match="without an account"):
        AccountEnrolment(made, tuple, Clock().world())


def test_a_servers_code_says_what_it_serves(tmp_path: Path) -> None:
    make_home(tmp_path / "family", "tcp:127.0.0.1:4653")
    with office(tmp_path / "family", Clock()) as found:
        made = joined(invited_server(found), tmp_path / "attic").membership
    assert made.serves == (STORAGE,) and made.mode is Mode.NONE and membership.load(tmp_path / "attic") == made
    assert holder.ticket(tmp_path / "attic") is not None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('mode = "account"', 'mode = "blinded"', "not there yet"),
        ('mode = "account"', 'mode = "other"', "neither account nor none"),
        ('mode = "account"', 'mode = "none"', "in no other"),
        ('account = "alice"', "account = 7", "no text"),
        ('account = "alice"', f'account = "{"a" * 65}"', "up to 64"),
        ('account = "alice"', 'account = ""', "in no other"),
        ("k = 3", "k = 11", "not the greater"),
        ("k = 3", "k = true", "whole numbers"),
        ("n = 5", "n = 5\nm = 1", "no such field"),
        ('tcp = "direct"', 'tcp = "maybe"', "neither direct"),
        ('tor = ""', 'tor = "tcp:localhost:9050"', "has a name"),
        ('tor = ""', 'tor = "i2p:x"', "i2p"),
        ("needed = 1", "needed = 2", "never agree"),
        ("needed = 1", "needed = 0", "never agree"),
        ("fresh = true", "fresh = 1", "neither true nor false"),
        ("[rules]", "[other]\n[rules]", "no such field"),
        ("[accounts]", "[acounts]", "no such field"),
        ('grid = "g', 'grid = "p', "not g and"),
        ("addresses = [", 'addresses = ["tcp:999.1.1.1:1", ', "number that is no IPv4"),
        ("classes = []", 'classes = ["A"]', "small letters"),
        ("k = 3", "k = ", "Invalid value"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(invited: Invitation, tmp_path: Path, old: str, new: str, why: str) -> None:
    path = tmp_path / "home"
    joined(invited, path)
    text = (path / "grid.toml").read_text()
    assert old in text
    (path / "grid.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(HoldError, match=why) as error:
        membership.load(path)
    assert error.value.kind is Kind.USAGE


def test_a_charter_is_the_same_as_text(invited: Invitation) -> None:
    import tomllib

    table: dict[str, Any] = tomllib.loads(chartertext.text(invited.charter))
    assert chartertext.parse(invited.charter.name, table) == invited.charter


@pytest.mark.parametrize("name", ["account.key", "ticket"])
def test_what_others_could_have_read_is_refused(invited: Invitation, tmp_path: Path, name: str) -> None:
    path = tmp_path / "home"
    made = joined(invited, path).membership
    (path / name).chmod(0o640)
    with pytest.raises(HoldError) as error:
        AccountEnrolment(made, tuple, Clock().world())
    assert error.value.kind is Kind.DENIED and "chmod" in error.value.hint


@pytest.mark.parametrize("name", ["account.key", "ticket"])
def test_what_is_damaged_is_said_to_be(invited: Invitation, tmp_path: Path, name: str) -> None:
    path = tmp_path / "home"
    made = joined(invited, path).membership
    (path / name).write_bytes(b"\xff nonsense")
    with pytest.raises(HoldError) as error:
        AccountEnrolment(made, tuple, Clock().world())
    assert error.value.kind is Kind.CORRUPT


def test_a_grid_that_was_not_joined_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HoldError) as error:
        membership.load(tmp_path / "none")
    assert error.value.kind is Kind.NOT_FOUND and "hold join" in error.value.hint
