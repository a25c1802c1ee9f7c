"""The shipped units: what systemd thinks of them, and how a machine's differ."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from commonhold.host.repository import SYSTEM, SYSTEM_SOCKET
from commonhold.host.units import AGENT, GRID, MOUNT, NODE, SYSTEM_PATHS, TENDER, drift, shipped
from commonhold.mount import config as mounts
from commonhold.node.config import Limits, parse

_UNITS = Path(__file__).parents[2] / "packaging/systemd"
_ANALYZE = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")


def _analyze(directory: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(directory), "SYSTEMD_COLORS": "0"}
    done = subprocess.run(
        ["systemd-analyze", *words], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@_ANALYZE
@pytest.mark.parametrize(
    ("units", "manager"),
    [(NODE, "--system"), (TENDER, "--system"), (MOUNT, "--system"), (GRID, "--system"), (AGENT, "--user")],
)
def test_systemd_finds_nothing_wrong(tmp_path: Path, units: tuple[str, ...], manager: str) -> None:
    for unit in units:  # the one change: a program that exists on this machine
        unit_file = tmp_path / unit.replace("@.", "@family.")
        unit_file.write_text(shipped(unit).replace("=/usr/bin/hold ", f"={sys.executable} "))
    assert _analyze(tmp_path, "verify", "--man=no", manager, *(f"./{one.name}" for one in tmp_path.iterdir())) == ""


@_ANALYZE
@pytest.mark.parametrize(
    ("service", "most"),
    [
        ("commonhold-node.service", 1.0),
        ("commonhold-tender.service", 1.5),  # it calls grids' servers, and asks who calls
        # They listen where their configs say, so the network stays.
        *((unit, 1.1) for unit in GRID),
        # Root's, and in the host's mount namespace: half of what can be taken away cannot be taken from it.
        ("commonhold-mount.service", 3.6),
        # Counted as root's, with all capabilities of root; a user's process has none of them. It calls grids' servers.
        ("commonhold-agent.service", 6.2),
    ],
)
def test_the_sandbox_leaves_little_exposed(tmp_path: Path, service: str, most: float) -> None:
    shutil.copy(_UNITS / service, tmp_path / service.replace("@.", "@family."))
    said = _analyze(tmp_path, "security", "--offline=true", f"./{service.replace('@.', '@family.')}")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found and float(found[1]) <= most


@pytest.mark.parametrize("unit", ["commonhold-node.service", "commonhold-tender.service"])
def test_the_node_and_the_tender_can_tell_who_calls_them(unit: str) -> None:
    """With one of these it would take callers for nobody, or nobody for a caller."""
    settings = {line.partition("=")[0] for line in shipped(unit).splitlines()}
    assert not settings & {"PrivateUsers", "ProtectProc", "ProcSubset", "DynamicUser"}


def test_the_daemons_of_a_grid_have_one_sandbox_and_each_its_own_user_and_places() -> None:
    found = []
    for unit in GRID:
        text = shipped(unit)
        name = unit.removeprefix("commonhold-").removesuffix("@.service")
        assert f"\nUser=hold-{name}\nGroup=hold-{name}\n" in text
        users = re.findall(r"^u (\S+) ", shipped("commonhold.sysusers"), re.MULTILINE)
        assert users.count(f"hold-{name}") == 1 and f"d /var/lib/commonhold-{name} " in shipped("commonhold.tmpfiles")
        lines = [line for line in text.replace(name, "NAME").splitlines() if re.match(r"\w+=|\[", line)]
        found.append(
            [
                line
                for line in lines
                if not re.match("Description|Documentation|AssertPath|ExecStart|StateDirectory=|NoExecPaths", line)
            ]
        )
    assert found[0] == found[1] == found[2]


def test_nothing_gives_the_mount_a_view_of_the_files_that_is_not_the_hosts() -> None:
    """With one of these nobody else would see what it mounts. Source: systemd.exec(5), and what systemd 252 does."""
    settings = dict(
        line.split("=", 1) for line in shipped("commonhold-mount.service").splitlines() if re.match(r"\w+=", line)
    )
    for name in settings:
        assert not re.match(
            r"(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|BindReadOnly|Bind)Paths|Root|TemporaryFileSystem|MountFlags"
            r"|Protect(System|Home|Proc|Kernel\w+|ControlGroups)|ProcSubset|Private(Tmp|Devices|IPC|Users)|DynamicUser"
            r"|LogNamespace|MountImages|Extension\w+",
            name,
        ), name
    assert settings["PrivateMounts"] == "no" and settings["PrivateNetwork"] == "yes"


def test_the_example_config_is_what_a_mount_reads_and_shows_the_defaults() -> None:
    example = shipped("mount.toml")
    read = mounts.parse(tomllib.loads(example))
    shown = tuple((name, Path("/", name)) for name in mounts.NAMES)
    assert read == mounts.Config(shown=shown, node=SYSTEM_SOCKET)
    every_field = re.sub(r"^#(?=\w+ = )", "", example, flags=re.MULTILINE)
    assert mounts.parse(tomllib.loads(every_field)) == read
    assert f"RuntimeDirectory={read.socket.parent.name}\n" in shipped("commonhold-mount.service")
    for user in (read.user, read.public):
        assert re.search(rf"^u {user} ", shipped("commonhold.sysusers"), re.MULTILINE)


def test_the_example_config_is_what_a_node_reads_and_shows_the_defaults() -> None:
    example = shipped("node.toml")
    every_field = re.sub(r"^#(?=[\[\w])", "", example, flags=re.MULTILINE)
    node = parse(tomllib.loads(example))
    assert parse(tomllib.loads(every_field)).limits == node.limits == Limits()
    assert node.repository == SYSTEM
    assert f"ListenStream={node.socket}\n" in shipped("commonhold-node.socket")
    assert f"SocketGroup={node.group}\n" in shipped("commonhold-node.socket")
    assert f"g {node.group} " in shipped("commonhold.sysusers")


def test_no_drift_where_only_comments_differ(tmp_path: Path) -> None:
    text = shipped("commonhold-node.service")
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    (tmp_path / "commonhold-node.service").write_text(f"; ours\n{bare}\n")
    assert drift("commonhold-node.service", (tmp_path,)).same


def test_drift_names_what_is_there_what_is_missing_and_the_drop_ins(tmp_path: Path) -> None:
    first, second = tmp_path / "etc", tmp_path / "usr"
    for directory in (first, second):
        directory.mkdir()
        (directory / "commonhold-node.service").write_text(shipped("commonhold-node.service"))
    edited = shipped("commonhold-node.service").replace("ProtectHome=yes", "ProtectHome=no")
    (first / "commonhold-node.service").write_text(edited)
    (second / "commonhold-node.service.d").mkdir()
    drop_in = second / "commonhold-node.service.d/network.conf"
    drop_in.write_text("[Service]\nPrivateNetwork=no\n")
    found = drift("commonhold-node.service", (first, second))
    assert not found.same and found.path == first / "commonhold-node.service"
    assert found.added == ("[Service] ProtectHome=no",) and found.missing == ("[Service] ProtectHome=yes",)
    assert found.drop_ins == (drop_in,)


def test_a_unit_that_is_not_installed_is_not_the_same(tmp_path: Path) -> None:
    found = drift("commonhold-node.socket", (tmp_path,))
    assert found.path is None and not found.same


def test_every_unit_is_shipped_and_says_where_its_manual_is() -> None:
    for unit in NODE + TENDER + MOUNT + GRID + AGENT:
        assert "Documentation=man:commonhold(7)" in shipped(unit)
    assert Path("/etc/systemd/system") == SYSTEM_PATHS[0]
