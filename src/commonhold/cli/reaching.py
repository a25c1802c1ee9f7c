"""Reaching the caller's own agent: the daemon that is there, or one that is started now."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent_socket
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import daemon
from commonhold.host.repository import NAME
from commonhold.ipc.agentclient import Lost, RemoteAgent
from commonhold.ipc.agentwords import PROTOCOL

if TYPE_CHECKING:
    import subprocess

LOG = "agent.log"
IDLE_SECONDS = 900  # that one which started by itself waits for more to do
_SECONDS = 20.0
_END_SECONDS = 60.0
_OTHER_SECONDS = 0.5
_PAUSE = 0.005
_ATTEMPTS = 3


def reach(state: Path, node: Path, out: Output) -> RemoteAgent | None:
    """The caller's agent, told which node this is about; started if none is there, or only one of another version.

    None, with a remark, where there can be none; and where the one that is there would see other files than the
    caller does, as from within a container.
    """
    for _ in range(_ATTEMPTS):
        try:
            agent = _fitting(state)
        except (HoldError, OSError) as error:
            out.remark(f"note: your agent does not start, so this command does its work itself: {error}")
            return None
        try:
            if _opened(agent, state, node):
                return agent
        except Lost as error:  # it was about to end
            lost = error
            continue
        except BaseException:
            agent.close()
            raise
        agent.close()
        out.remark("note: your agent sees other files than this command, which therefore does its work itself")
        return None
    raise lost


def attending(state: Path, node: Path) -> RemoteAgent:
    """The caller's agent, told which node this is about, started if need be; wherever it stands, and whatever it may do
    there: what it is asked for has nothing to do with the caller's files."""
    for _ in range(_ATTEMPTS):
        agent = _fitting(state)
        try:
            agent.open(node)
        except Lost as error:  # it was about to end
            lost = error
        except BaseException:
            agent.close()
            raise
        else:
            return agent
    raise lost


def _opened(agent: RemoteAgent, state: Path, node: Path) -> bool:
    """Tell an agent which node this is about; whether it may be asked for anything then."""
    try:
        welcome = agent.open(node)
    except PermissionError:  # its user has no way to where we stand, as somewhere below another's home
        return False
    own = state.stat()
    return welcome.alike and tuple(welcome.state) == (own.st_dev, own.st_ino)


def _fitting(state: Path) -> RemoteAgent:
    """The agent that is there, or one that is started now; one that speaks in another way is told to end first."""
    agent = _connected(state) or _started(state)
    if agent.hello.protocol == PROTOCOL:
        return agent
    end(agent)
    return _connected(state) or _started(state)


def end(agent: RemoteAgent) -> int:
    """Have an agent finish what it is doing and end; its process, which is gone on return.

    It says itself which process it is: behind a service manager's socket the kernel names that manager.
    """
    pid = agent.hello.process
    agent.close()
    daemon.stop(pid, _END_SECONDS)
    return pid


def running(state: Path) -> RemoteAgent | None:
    """The caller's agent, if one is there already. BUSY for one that says nothing."""
    try:
        return _connected(state)
    except HoldError as error:
        if error.kind is Kind.BUSY:
            raise
        return None


def start(state: Path, idle: int | None) -> "subprocess.Popen[bytes]":
    """Start an agent in the background; it may be a moment until it listens."""
    with os_errors("start", str(state)):
        if state.stat().st_uid != os.geteuid():  # what its owner has put there is not to be written to
            raise HoldError("start", Kind.DENIED, str(state), "not yours")
    words = ["--repo", str(state.absolute()), "agent", *([] if idle is None else ["--idle", str(idle)])]
    return daemon.start([sys.executable, "-m", "commonhold.cli", *words], state / LOG)


def wait(state: Path, process: "subprocess.Popen[bytes]") -> RemoteAgent:
    """The agent that was started, or another that was quicker, as soon as it listens."""
    until = time.monotonic() + _SECONDS
    ended = False
    while time.monotonic() < until:
        agent = _connected(state)
        if agent is not None:
            return agent
        if not ended and process.poll() is not None:
            ended = True
            until = time.monotonic() + _OTHER_SECONDS  # another that was quicker is about to listen
        time.sleep(_PAUSE)
    if not ended:
        process.terminate()
        raise HoldError("start", Kind.UNREACHABLE, "agent", f"no answer in {_SECONDS:g} s", hint=f"less {state / LOG}")
    why = daemon.last_words(state / LOG) or f"it ended with code {process.returncode}"
    raise HoldError("start", Kind.FAILED, "agent", why, hint=f"less {state / LOG}")


def _started(state: Path) -> RemoteAgent:
    return wait(state, start(state, IDLE_SECONDS))


def _connected(state: Path) -> RemoteAgent | None:
    """The agent that listens, if one does."""
    for path in _sockets(state):
        try:
            return RemoteAgent(path, os.geteuid())
        except HoldError as error:
            if error.kind is not Kind.UNREACHABLE:  # nobody is there, or it ended just now
                raise
    return None


def _sockets(state: Path) -> Iterator[Path]:
    """Where an agent may listen: beside its user's things, or where the service manager has it."""
    yield agent_socket(state)
    home, runtime = os.environ.get("HOME"), os.environ.get("XDG_RUNTIME_DIR")
    if home and runtime and state == Path(home) / NAME:
        yield Path(runtime) / "commonhold" / "agent.sock"
