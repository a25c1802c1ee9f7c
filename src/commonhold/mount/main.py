"""The mount as processes, a parts list: config, keeper, worker, and who brings a user's agent."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.host import allocator, systemd
from commonhold.mount import slots
from commonhold.mount.config import Config
from commonhold.mount.keeper import Keeper, Parts, Place
from commonhold.mount.users import HostIds, HostUsers
from commonhold.mount.worker import Given, Worker

_SYSTEMD = Path("/run/systemd/system")  # there if a machine is run by it: sd_booted(3)

Bring = Callable[[int], object]


def run(config: Config, environment: Mapping[str, str], bringing: Bring | None = None) -> None:
    """Mount, and serve until INT or TERM. `bringing` is in place of `bring`."""
    worker, public = _user(config.user), _user(config.public).pw_uid
    place = Place(config.at.resolve(), tuple((name, at.resolve()) for name, at in config.shown))

    def work(device: int, agents: int, keeper: int, memory: int, epoch: bytes) -> None:
        allocator.tune()
        given = Given(device, agents, keeper, memory, epoch, public)
        Worker(given, HostIds(config.realm, config.users, config.groups), HostUsers()).run()

    keeper = Keeper(
        Parts(
            place,
            config.socket,
            worker.pw_uid,
            worker.pw_gid,
            slots.create(),
            work,
            bringing or (lambda uid: bring(uid, config.socket, config.node)),
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


def bring(uid: int, agents: Path, node: Path | None) -> None:
    """Have a user's agent come to the mount. In a process of its own, that becomes the user and another program.

    Where there is a service manager the user's own is started first: the agent then runs in it, as for commands.
    """
    user = pwd.getpwuid(uid)
    manager = Path(f"/run/user/{uid}")
    if _SYSTEMD.is_dir():
        subprocess.run(["systemctl", "--quiet", "start", f"user@{uid}.service"], check=False, stdin=subprocess.DEVNULL)
    at = ["--repo", str(node)] if node is not None else []
    environment = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "LANG": "C.UTF-8"}
    environment["PATH"] = os.defpath
    if manager.is_dir():
        environment["XDG_RUNTIME_DIR"] = str(manager)
    become(user)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    words = [sys.executable, "-m", "commonhold.cli", *at, "agent", "--attend", str(agents)]
    os.execve(sys.executable, words, environment)


def become(user: pwd.struct_passwd) -> None:
    """Be a user and of their groups, and nothing else any more, in a session of their own."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
