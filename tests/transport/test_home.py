"""A server's directory: its key is its own and stays; others cannot read it; one process works there at a time."""

from pathlib import Path

import pytest

from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind
from commonhold.formats.pin import pin_of
from commonhold.transport.home import Home, Sort


def home(path: Path) -> Home:
    return Home(path / "a" / "server", Sort("a server", "it.toml", "hold it init"))


def failing(what: object) -> HoldError:
    with pytest.raises(HoldError) as caught:
        what()  # type: ignore[operator]
    return caught.value


def test_one_that_is_made_has_a_key_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    here = home(tmp_path)
    pin = here.make("x = 1\n")
    assert here.pin() == pin == pin_of(sign.public_key(here.key())) == home(tmp_path).pin()
    assert here.config.read_text() == "x = 1\n" and home(tmp_path / "other").make("") != pin
    assert here.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in here.path.iterdir()} == {0o600}


def test_no_second_is_made_in_its_place(tmp_path: Path) -> None:
    here = home(tmp_path)
    pin = here.make("x = 1\n")
    assert failing(lambda: here.make("x = 2\n")).kind is Kind.EXISTS
    assert (here.pin(), here.config.read_text()) == (pin, "x = 1\n")


def test_what_was_broken_off_before_its_config_came_is_begun_again_with_the_same_key(tmp_path: Path) -> None:
    here = home(tmp_path)
    pin = here.make("x = 1\n")
    here.config.unlink()
    assert here.make("x = 2\n") == pin


def test_where_there_is_none_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    here = home(tmp_path)
    for what in (here.key, lambda: here.config, lambda: here.held("x").__enter__()):
        error = failing(what)
        assert (error.kind, error.hint) == (Kind.NOT_FOUND, "hold it init")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    here = home(tmp_path)
    here.make("")
    (here.path / "server.pem").chmod(0o640)
    assert failing(here.key).kind is Kind.DENIED


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    here = home(tmp_path)
    here.make("")
    with here.held("one"):
        assert failing(lambda: here.held("other").__enter__()).kind is Kind.BUSY
    with here.held("other"):
        pass
