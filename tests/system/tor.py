"""A Tor network of the test's own, wholly on loopback: three authorities, a relay and two clients, all Debian's `tor`.

It is up in some 15 s. Its processes are tied to the one that started them: when that is killed, so are they.
"""

import fcntl
import os
import random
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from commonhold.formats.hint import TcpHint, UnixHint
from tests.waiting import SECONDS

_AUTHORITIES = 3
_PORTS = range(20_000, 32_000)  # below those that the machine gives to others
_END_SECONDS = 10
_CALL_SECONDS = 10
_LOG_SHOWN = 2000  # characters of each log, where something has failed
_PATIENCE = 0.1

# Votes every 10 s instead of every hour, and everybody is fit for every part. A policy that allows loopback alone would
# count as none at all; no exit looks a name up.
_COMMON = """
TestingTorNetwork 1
Schedulers Vanilla
ShutdownWaitLength 0
DisableDebuggerAttachment 0
SafeLogging 0
AvoidDiskWrites 1
Log notice file {home}/log
DataDirectory {home}
{authorities}
"""
_RELAY = """
Nickname {name}
Address 127.0.0.1
ORPort 127.0.0.1:{or_port} IPv4Only
SocksPort 0
AssumeReachable 1
ExitRelay 1
ExitPolicyRejectPrivate 0
ExitPolicy accept *:*
ServerDNSResolvConfFile {home}/resolv.conf
ServerDNSAllowBrokenConfig 1
ServerDNSDetectHijacking 0
"""
_AUTHORITY = """
DirPort 127.0.0.1:{dir_port} IPv4Only
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo nobody
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
"""
_CLIENT = """
SocksPort 127.0.0.1:{socks_port} ExtendedErrors
ControlPort unix:{home}/control
CookieAuthentication 1
CookieAuthFile {home}/cookie
"""


@dataclass(frozen=True)
class Client:
    """A Tor that programs use. Who has its cookie rules it."""

    socks: TcpHint
    control: UnixHint
    cookie: Path

    def ask(self, *commands: str) -> list[str]:
        """What its control port says to these: lines, without what says how they go on."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, sock.makefile("rwb") as talk:
            sock.settimeout(_CALL_SECONDS)
            sock.connect(self.control.path)
            said: list[str] = []
            for command in (f"AUTHENTICATE {self.cookie.read_bytes().hex()}", *commands):
                talk.write(command.encode() + b"\r\n")
                talk.flush()
                said = _reply(lambda: talk.readline().decode().rstrip("\r\n"))
                assert said[-1].startswith("250"), (command, said)
            return [line.removeprefix("250-").removeprefix("250+") for line in said[:-1]]


def _reply(line: Callable[[], str]) -> list[str]:
    said = [line()]
    while said[-1][3:4] != " ":
        if said[-1][3:4] == "+":
            while (inner := line()) != ".":
                said.append(f"250-{inner}")
        said.append(line())
    return said


@dataclass(frozen=True)
class Network:
    """One that is up: `near` is whom a client of ours uses, `far` whom a server of ours does."""

    near: Client
    far: Client


@contextmanager
def network() -> Iterator[Network]:
    """A network; no other process of these tests has one. What takes too long is an AssertionError that says what."""
    with ExitStack() as stack:
        stack.enter_context(_turn())
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hold-tor-")))
        try:
            yield _grown(_Nodes(root, stack))
        except BaseException as error:
            for log in sorted(root.glob("*/log")):
                error.add_note(f"{log.parent.name}: {log.read_text()[-_LOG_SHOWN:]}")
            raise


def _grown(nodes: "_Nodes") -> Network:
    """Start all of it. Clients come last: who finds no consensus asks again much later."""
    authorities = [f"authority{number}" for number in range(_AUTHORITIES)]
    for name in authorities:
        nodes.add_authority(name)
    nodes.add_relay("relay")
    nodes.start(*authorities, "relay")
    nodes.wait("a consensus", SECONDS, lambda: _agreed(nodes.root / authorities[0]))
    nodes.wait("the relay", SECONDS, lambda: _bootstrapped(nodes.root / "relay"))
    network = Network(nodes.add_client("near"), nodes.add_client("far"))
    nodes.start("near", "far")
    nodes.wait("the clients", SECONDS, lambda: all(_bootstrapped(nodes.root / name) for name in ("near", "far")))
    return network


class _Nodes:
    """Those of a network that is being made, each with a directory; they end with `stack`."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self._stack = stack
        self._ports = iter(_free_ports(2 * _AUTHORITIES + 3))
        self._authorities: list[str] = []
        self._configs: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def add_authority(self, name: str) -> None:
        home, or_port, dir_port = self._home(name), next(self._ports), next(self._ports)
        identity = _authority_key(home, dir_port)
        config = (_RELAY + _AUTHORITY).format(name=name, home=home, or_port=or_port, dir_port=dir_port)
        own = _fingerprint(home, config)
        where = f"orport={or_port} no-v2 v3ident={identity} 127.0.0.1:{dir_port}"
        self._authorities.append(f"DirAuthority {name} {where} {own}")
        self._configs[name] = config

    def add_relay(self, name: str) -> None:
        self._configs[name] = _RELAY.format(name=name, home=self._home(name), or_port=next(self._ports))

    def add_client(self, name: str) -> Client:
        home, port = self._home(name), next(self._ports)
        self._configs[name] = _CLIENT.format(home=home, socks_port=port)
        return Client(TcpHint("127.0.0.1", port), UnixHint(str(home / "control")), home / "cookie")

    def _home(self, name: str) -> Path:
        home = self.root / name
        home.mkdir(mode=0o700)
        (home / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        return home

    def start(self, *names: str) -> None:
        for name in names:
            home = self.root / name
            authorities = "\n".join(self._authorities)
            (home / "torrc").write_text(_COMMON.format(home=home, authorities=authorities) + self._configs[name])
            self._running[name] = self._stack.enter_context(_running(home))

    def wait(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        """Wait for something, as long as none of them ends."""

        def holds_yet() -> bool:
            for name, process in self._running.items():
                assert process.poll() is None, f"{name} has ended: {(self.root / name / 'said').read_text()}"
            return holds()

        _wait(what, seconds, holds_yet)


def _authority_key(home: Path, dir_port: int) -> str:
    """Make an authority's keys; the fingerprint by which it is known."""
    (home / "keys").mkdir(mode=0o700)
    words = ["tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-m", "1", "-a", f"127.0.0.1:{dir_port}"]
    for option, name in (("-i", "identity_key"), ("-s", "signing_key"), ("-c", "certificate")):
        words += [option, str(home / "keys" / f"authority_{name}")]
    _run(words)
    certificate = (home / "keys" / "authority_certificate").read_text()
    found = re.search(r"^fingerprint ([0-9A-F]{40})$", certificate, re.MULTILINE)
    assert found, certificate
    return found[1]


def _fingerprint(home: Path, config: str) -> str:
    """Make a relay's keys; its fingerprint. An authority wants to know of one, be it nobody."""
    nobody = f"DirAuthority nobody orport=1 v3ident={'A' * 40} 127.0.0.1:1 {'A' * 40}"
    (home / "torrc").write_text(_COMMON.format(home=home, authorities=nobody) + config)
    _run([*_tor(home), "--list-fingerprint"])
    return (home / "fingerprint").read_text().split()[1]


def _tor(home: Path) -> list[str]:
    return ["tor", "-f", str(home / "torrc"), "--defaults-torrc", "/dev/null", "--hush"]


def _run(words: list[str]) -> None:
    done = subprocess.run(words, input=b"\n", capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


@contextmanager
def _running(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A Tor, until the block ends."""
    with (home / "said").open("wb") as said:
        words = ["setpriv", "--pdeathsig=KILL", *_tor(home)]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _agreed(authority: Path) -> bool:
    """Whether there is a consensus with all relays."""
    consensus = authority / "cached-microdesc-consensus"
    return consensus.exists() and len(re.findall("^r ", consensus.read_text(), re.MULTILINE)) == _AUTHORITIES + 1


def _bootstrapped(home: Path) -> bool:
    log = home / "log"
    return log.exists() and "Bootstrapped 100%" in log.read_text()


def _free_ports(count: int) -> list[int]:
    """Ports of loopback at which nobody listens now."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_PORTS, 50 * count):
            sock = held.enter_context(socket.socket())
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no free ports")


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other process has a network. The lock is on a directory, and leaves nothing behind."""
    directory = os.open(Path(__file__).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _wait("another process's network to end", 3 * SECONDS, lambda: _locked(directory))
        yield
    finally:
        os.close(directory)


def _locked(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(what: str, seconds: float, holds: Callable[[], bool]) -> None:
    stop = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < stop, f"waited {seconds:g} s for {what}"
        time.sleep(_PATIENCE)
