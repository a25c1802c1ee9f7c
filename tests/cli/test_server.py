"""A storage server by commands: it is made and shown, also while it runs."""

from pathlib import Path

from commonhold.storage import places
from tests.cli.running import Hold, hold, last

__all__ = ["hold"]

_GRID = "ghcjo6r6bmjabszrotwgheksd7mellzx77g7p732hz6mceujynkq645cy"


def test_its_pin_is_shown_while_it_runs_too(hold: Hold, tmp_path: Path) -> None:
    pin = last(hold("server", "init", str(tmp_path / "s"), "--grid", _GRID, "--listen", "tcp:127.0.0.1:7373"))
    shown = hold("server", "show", str(tmp_path / "s")).stdout.decode().splitlines()
    assert shown[0] == pin and shown[1].startswith(f"{tmp_path}/s/shares: 0 bytes of ")
    with places.opened(tmp_path / "s", "server run"):
        done = hold("server", "show", str(tmp_path / "s"))
    assert done.stdout.decode() == f"{pin}\n" and b"note: it runs" in done.stderr
