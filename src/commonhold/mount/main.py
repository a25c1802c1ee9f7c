"""The mount as processes, a parts list: config, keeper, worker, and who brings a user's agent."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import allocator, systemd
from commonhold.mount import slots
from commonhold.mount.config import Config
from commonhold.mount.keeper import Keeper, Parts, Place
from commonhold.mount.users import HostIds, HostUsers
from commonhold.mount.worker import Given, Worker

Starter = Callable[[int], "subprocess.Popen[bytes] | None"]


def run(config: Config, environment: Mapping[str, str], start: Starter | None = None) -> None:
    """Mount, and serve until INT or TERM."""
    if os.geteuid() != 0:
        raise HoldError("mount", Kind.DENIED, "/dev/fuse", "only root may mount for others", hint="sudo hold mount")
    worker, public = _user(config.user), _user(config.public).pw_uid
    for at in (config.at, *(path for _, path in config.shown)):
        with os_errors("mount", str(at)):
            at.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = Place(config.at.resolve(), tuple((name, at.resolve()) for name, at in config.shown))

    def work(device: int, agents: int, keeper: int, memory: int, epoch: bytes) -> None:
        allocator.tune()
        given = Given(device, agents, keeper, memory, epoch, public)
        Worker(given, HostIds(config.realm), HostUsers()).run()

    keeper = Keeper(
        Parts(
            place,
            config.socket,
            worker.pw_uid,
            worker.pw_gid,
            slots.create(),
            work,
            start or (lambda uid: bring(uid, config.socket, config.node)),
            lambda: systemd.notify(environment, "READY=1"),
        )
    )
    keeper.run()


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        hint = f"useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
        raise HoldError("mount", Kind.USAGE, name, "there is no such user", hint=hint) from None


def bring(uid: int, agents: Path, node: Path | None) -> "subprocess.Popen[bytes] | None":
    """Start, as a user, what has that user's agent come to the mount. None for who is no user."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return None
    at = ["--repo", str(node)] if node is not None else []
    return subprocess.Popen(
        [sys.executable, "-m", "commonhold.cli", *at, "agent", "--attend", str(agents)],
        user=uid,
        group=user.pw_gid,
        extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
        env={"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd="/",
        umask=0o077,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
