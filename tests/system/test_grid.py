"""The demo of a grid runs to its end: joining, keeping, losing servers, mending, revoking; and nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]


def test_a_grid_of_real_processes(tmp_path: Path) -> None:
    """B3, B6, B14, B17, B19, B23, B24, B26, D6, D14: what a grid is for, from the first command to the last."""
    done = subprocess.run(
        [_ROOT / "packaging" / "demo-grid", Path(sys.executable).with_name("hold"), _ROOT / "docs"],
        capture_output=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        timeout=SECONDS,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said + done.stderr.decode(errors="replace")
    assert "every byte is there" in said and "written after the revocation" in said
    assert "it was not sealed for your account, alice on lab" in done.stderr.decode(errors="replace")
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False).stdout
    assert left == b""
