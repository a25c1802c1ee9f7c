"""`hold mount` where nothing is mounted, or only a list says so."""

import argparse
import os
from pathlib import Path

import pytest

from commonhold.cli.mount import run
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.host import mounted
from tests.cli.running import Hold, hold
from tests.host.people import plain_user

__all__ = ["hold"]

_LISTED = "91 28 0:61 /hold /hold rw shared:7 - fuse.commonhold hold-1.2.3 rw,user_id=0,group_id=0\n"


def link(name: str) -> None:
    run(argparse.Namespace(link=name, off=False), Output(json=False, quiet=True))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory on a machine with a mount."""
    (tmp_path / "mountinfo").write_text(_LISTED)
    monkeypatch.setattr(mounted, "MOUNTINFO", tmp_path / "mountinfo")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_link_leads_to_the_callers_own_files_and_can_be_asked_for_again(home: Path) -> None:
    link("files")
    link("files")
    assert (home / "files").readlink() == Path("/hold/me")


def test_a_link_replaces_nothing(home: Path) -> None:
    (home / "files").write_text("hers")
    (home / "other").symlink_to("/elsewhere")
    for name in ("files", "other"):
        with pytest.raises(HoldError) as refused:
            link(name)
        assert refused.value.kind is Kind.EXISTS
    assert (home / "files").read_text() == "hers" and (home / "other").readlink() == Path("/elsewhere")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x"])
def test_a_link_is_a_name_in_the_home_directory(home: Path, name: str) -> None:
    with pytest.raises(HoldError) as refused:
        link(name)
    assert refused.value.kind is Kind.USAGE and list(home.iterdir()) == [home / "mountinfo"]


def test_no_link_where_nothing_is_mounted(home: Path) -> None:
    (home / "mountinfo").write_text("")
    with pytest.raises(HoldError) as refused:
        link("files")
    assert refused.value.kind is Kind.UNREACHABLE and "commonhold-mount" in refused.value.hint


def test_status_names_the_mount(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from commonhold.cli.status import run as status

    (home / ".hold").mkdir()
    status(argparse.Namespace(repo=str(home / ".hold")), Output(json=False, quiet=True))
    assert "mount:      /hold, by hold 1.2.3; your files are in /hold/me, which" in capsys.readouterr().out


def test_only_root_mounts_and_unmounts(tmp_path: Path) -> None:
    with plain_user():
        for off in (False, True):
            with pytest.raises(HoldError) as refused:
                run(argparse.Namespace(link=None, off=off), Output(json=False, quiet=True))
            assert refused.value.kind is Kind.DENIED


@pytest.mark.root
def test_ending_a_mount_that_is_not_there_is_no_error_and_makes_nothing(hold: Hold, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    config = tmp_path / "mount.toml"
    config.write_text(f'at = "{tmp_path}/tree"\nsocket = "{tmp_path}/agents.sock"\nhold = "{tmp_path}/hold"\n')
    said = hold("mount", "--config", str(config), "--off").stdout.decode()
    assert said == f"nothing serves {tmp_path}/tree\n"
    assert not (tmp_path / "tree").exists() and not (tmp_path / "hold").exists()
