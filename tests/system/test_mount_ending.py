"""`hold mount --off`, and what a killed keeper leaves behind."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commonhold import __version__
from tests.system.mounts import Host, Mount, mount
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
]


@pytest.fixture
def shown(machine: Host) -> Iterator[Mount]:
    """A mount that is shown in another place, too, where somebody has been."""
    place = Path(f"{machine.alice.directory}-shown")
    with mount(machine, f'hold = "{place}"\n') as one:
        machine.alice.do(lambda: (place / "me" / "file").write_text("content"))
        yield one
    place.rmdir()


def off(machine: Host, mounted: Mount) -> str:
    """What `hold mount --off` says."""
    words = [*machine.before, sys.executable, "-m", "tests.cli.hold", "mount", "--config", str(mounted.config), "--off"]
    done = subprocess.run(words, capture_output=True, check=True, timeout=SECONDS, env=machine.environment, text=True)
    return done.stdout


def kill_keeper(machine: Host, mounted: Mount) -> None:
    """Leave mounts that nobody serves, and of which the kernel still knows attributes."""
    machine.do(lambda: [at.stat() for at in machine.mounts()])
    mounted.kill()
    assert len(machine.mounts()) == 2
    with pytest.raises(OSError) as refused:
        machine.do(lambda: os.listdir(mounted.at))
    assert refused.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)


def test_a_mount_that_is_served_is_ended_by_its_keeper(machine: Host, shown: Mount) -> None:
    assert off(machine, shown) == f"unmounted: {shown.at}; its keeper, process {shown.process.pid}, has ended\n"
    assert shown.process.wait(10) == 0 and machine.mounts() == {}


def test_status_says_where_the_mount_is_and_whether_your_agent_serves_it(machine: Host, shown: Mount) -> None:
    def status() -> dict[str, Any]:
        said: dict[str, Any] = json.loads(machine.alice.hold("status", "--json").stdout)
        return said

    said = status()
    assert {(Path(one["path"]), one["part"], one["version"]) for one in said["mount"]} >= {
        (shown.at, "/", __version__),
        (Path(f"{machine.alice.directory}-shown"), "/hold", __version__),
    }
    assert Path(said["yours"]).name == "me" and said["attended"] is True
    off(machine, shown)
    until = time.monotonic() + SECONDS
    while status()["attended"]:
        assert time.monotonic() < until
    assert machine.mounts() == {}


def test_what_a_killed_keeper_left_is_taken_away(machine: Host, shown: Mount) -> None:
    kill_keeper(machine, shown)
    assert off(machine, shown) == f"nothing serves {shown.at}\n"
    assert machine.mounts() == {}


def test_the_next_mount_takes_the_place_of_what_a_killed_keeper_left(machine: Host, shown: Mount) -> None:
    kill_keeper(machine, shown)
    shown.start()
    assert len(machine.mounts()) == 2
    assert machine.alice.do((shown.of(machine.alice) / "file").read_text) == "content"
    assert shown.stop(signal.SIGINT) == 0 and machine.mounts() == {}


def test_another_keepers_mount_is_left_alone(machine: Host, shown: Mount) -> None:
    other = shown.config.with_name("other.toml")
    other.write_text(shown.config.read_text().replace("agents.sock", "other.sock"))
    words = [*machine.before, sys.executable, "-m", "tests.cli.hold", "mount", "--config", str(other), "--off"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=SECONDS, env=machine.environment, text=True)
    assert done.returncode == 1 and "something is mounted there" in done.stderr
    assert machine.alice.do((shown.of(machine.alice) / "file").read_text) == "content"
