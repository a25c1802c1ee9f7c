"""Telling the service manager how we are."""

import socket
from pathlib import Path

from commonhold.host import systemd


def test_the_service_manager_is_told_if_it_wants_to_hear(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        systemd.notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}, "READY=1")
        assert manager.recv(100) == b"READY=1"
    systemd.notify({}, "READY=1")


def test_one_that_does_not_listen_any_more_ends_nobody(tmp_path: Path) -> None:
    systemd.notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, "STOPPING=1")
    systemd.notify({"NOTIFY_SOCKET": "@" + "nobody" * 10}, "STOPPING=1")
