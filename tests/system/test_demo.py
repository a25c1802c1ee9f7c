"""The demo of two users runs to its end and leaves no user, process or file behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import SECONDS

pytestmark = [pytest.mark.root, pytest.mark.slow]

_ROOT = Path(__file__).parents[2]


def test_two_users_of_one_node(tmp_path: Path) -> None:
    place = Path("/var/tmp") / f"hold-test-{tmp_path.name}"  # where users who are not root may look
    place.mkdir()
    try:
        done = subprocess.run(
            [_ROOT / "packaging" / "demo-users", Path(sys.executable).with_name("hold")],
            capture_output=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(place)},
            timeout=SECONDS,
            check=False,
        )
        left = [str(path) for path in place.iterdir()]
    finally:
        place.rmdir()
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said + done.stderr.decode(errors="replace")
    assert "all as it should be" in said and left == []
    assert "hold-demo" not in Path("/etc/passwd").read_text() + Path("/proc/self/mountinfo").read_text()
