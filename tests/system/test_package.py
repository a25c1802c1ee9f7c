"""The Debian package on a fresh machine: it installs, starts, is upgraded, removed and purged. In this order."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.machine import Machine, machine
from tests.waiting import SECONDS

_PACK = Path(__file__).parents[2] / "packaging/deb"
_PROBES = [Path(__file__).with_name(name) for name in ("sandboxed.py", "using.py", "keeping.py")]
_PYTHON = "/usr/lib/commonhold/bin/python3 -I"
_CALL = """
import socket
with socket.socket(socket.AF_UNIX) as node:
    node.settimeout(20)
    node.connect("/run/commonhold/node.sock")
    node.sendall(b"GET /v1/account HTTP/1.1\\r\\nHost: node\\r\\nConnection: close\\r\\n\\r\\n")
    print(node.makefile().readline())
"""

# The daemons of a grid, each with its user and the directory in which it is named `family`.
_GRID = {
    "commonhold-server": ("hold-server", "/var/lib/commonhold-server/family"),
    "commonhold-introducer": ("hold-introducer", "/var/lib/commonhold-introducer/family"),
    "commonhold-blesser": ("hold-blesser", "/var/lib/commonhold-blesser/.hold/grids/family"),
    "commonhold-relay": ("hold-relay", "/var/lib/commonhold-relay/family"),
}

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the package on it, two users, and one of them in the group."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make a machine")
    for need in ("debootstrap", "systemd-nspawn", "dpkg-deb", "setpriv"):
        if shutil.which(need) is None:
            pytest.skip(f"no {need} here: packaging/test-needs installs it")
    place = tmp_path_factory.mktemp("package")
    with machine() as made:
        subprocess.run([_PACK, place], env=os.environ | {"TMPDIR": str(place)}, check=True, timeout=3 * SECONDS)
        made.wait()
        for file in [*place.glob("*.deb"), *_PROBES]:
            shutil.copy(file, made.root / "opt")
        (made.root / "opt/call.py").write_text(_CALL)
        made.run("dpkg --install /opt/commonhold_*_amd64.deb")
        made.run("useradd --create-home alice; useradd --create-home bob; usermod -aG commonhold-users alice")
        made.run("useradd --create-home carol; usermod -aG commonhold-users carol")
        yield made


def keeper_and_worker(machine: Machine) -> tuple[int, int]:
    """The processes of the mount."""
    keeper = int(machine.said("systemctl show -P MainPID commonhold-mount"))
    children = machine.said(
        f"for one in $(cat /proc/{keeper}/task/{keeper}/children); do stat -c '%U %n' /proc/$one || true; done"
    )
    worker = next(line.rpartition("/")[2] for line in children.splitlines() if line.startswith("hold-mount "))
    return keeper, int(worker)


def test_the_command_works_for_an_ordinary_user(installed: Machine) -> None:
    assert installed.said("hold version", user="bob").startswith("hold ")
    installed.run("hold init && head -c 3000000 /dev/urandom >data && hold add data --name data", user="bob")
    root = installed.said("hold add -Q data", user="bob")
    installed.run(f"hold get {root} -o back && cmp data back", user="bob")


def test_what_was_installed_is_all_there_and_sound(installed: Machine) -> None:
    assert installed.said("dpkg --verify commonhold") == ""
    for path in (
        "/usr/share/man/man1/hold.1.gz",
        "/usr/share/man/man1/hold-add.1.gz",
        "/usr/share/man/man7/commonhold.7.gz",
        "/usr/share/doc/commonhold/copyright",
        "/usr/share/doc/commonhold/changelog.gz",
        "/usr/share/bash-completion/completions/hold",
        "/usr/share/zsh/vendor-completions/_hold",
        "/usr/share/fish/vendor_completions.d/hold.fish",
    ):
        assert (installed.root / path[1:]).is_file(), path
    units = "commonhold-node.socket commonhold-node.service commonhold-mount.service"
    units += " commonhold-tender.socket commonhold-tender.timer commonhold-tender.service"
    units += "".join(f" {one}@family.service" for one in _GRID)
    installed.run(f"systemd-analyze verify --man=no {units}")


def test_users_modes_and_units_are_as_the_service_needs_them(installed: Machine) -> None:
    assert installed.said("getent passwd commonhold").endswith(":/var/lib/commonhold:/usr/sbin/nologin")
    assert installed.said("stat -c '%a %U:%G' /etc/commonhold/node.toml") == "640 root:commonhold"
    assert installed.said("stat -c '%a %U:%G' /run/commonhold") == "755 root:root"
    assert installed.said("stat -c '%a %U:%G' /run/commonhold/node.sock") == "660 root:commonhold-users"
    assert installed.said("systemctl is-enabled commonhold-node.socket") == "enabled"
    assert installed.said("systemctl is-active commonhold-node.socket") == "active"
    assert installed.said("systemctl --global is-enabled commonhold-agent.socket") == "enabled"
    assert installed.said("systemctl --global is-enabled commonhold-agent.timer") == "enabled"
    assert installed.said("stat -c '%a %U:%G' /etc/commonhold/mount.toml") == "640 root:root"
    assert installed.said("getent passwd hold-mount").endswith(":/:/usr/sbin/nologin")
    assert installed.said("stat -c '%a %U:%G' /var/lib/commonhold-public") == "700 hold-public:hold-public"
    assert installed.said("id -nG hold-public") == "hold-public commonhold-users"


def test_the_tender_starts_when_an_agent_calls_it_and_knows_who_that_is(installed: Machine) -> None:
    assert installed.said("stat -c '%a %U:%G' /var/lib/commonhold-tender") == "700 hold-tender:hold-tender"
    assert installed.said("stat -c '%a %U:%G' /run/commonhold/tender.sock") == "660 root:commonhold-users"
    for unit in ("commonhold-tender.socket", "commonhold-tender.timer"):
        assert installed.said(f"systemctl is-enabled {unit}") == "enabled"
    call = "sed s/node.sock/tender.sock/ /opt/call.py | sed s:/v1/account:/v1/charges: >/tmp/call-tender.py"
    assert "200" in installed.said(f"{call}; {_PYTHON} /tmp/call-tender.py", user="alice")
    installed.run(f"{_PYTHON} /tmp/call-tender.py", user="bob", code=1)
    assert installed.said("systemctl is-active commonhold-tender.service") == "active"
    installed.run("systemctl stop commonhold-tender.service")


def test_nothing_is_mounted_before_it_is_wanted(installed: Machine) -> None:
    assert installed.run("systemctl is-enabled commonhold-mount", code=1).stdout == "disabled\n"
    installed.run("test ! -e /hold && test ! -e /ipfs && test ! -e /run/commonhold-mount")
    assert "enable --now commonhold-mount" in installed.run("hold mount --link", user="alice", code=11).stderr


def test_every_user_has_an_agent_socket_of_their_own(installed: Machine) -> None:
    uid = installed.said("id -u alice")
    installed.run(f"systemctl start user@{uid}.service")
    socket = f"/run/user/{uid}/commonhold/agent.sock"
    assert installed.said(f"stat -c '%a %U' {socket}") == "600 alice"


def probed(machine: Machine, unit: str, probe: str) -> None:
    """Run a unit as shipped, but for what it runs: a probe that tries what has to work and what must not."""
    drop_in = f"/run/systemd/system/{unit}.d/probe.conf"
    setting = (
        f"[Unit]\\nAssertPathExists=\\n[Service]\\nType=oneshot\\nRestart=no\\nExecStart=\\nExecStart={_PYTHON} {probe}"
    )
    machine.run(f"mkdir -p {drop_in.rpartition('/')[0]}; printf '{setting}\\n' >{drop_in}; systemctl daemon-reload")
    started = machine.run(f"systemctl start {unit}", code=None)
    said = machine.said(f"journalctl --no-pager --output cat --unit {unit}")
    machine.run(f"rm {drop_in}; systemctl daemon-reload; systemctl stop {unit}")
    assert started.returncode == 0 and "all is as it should be" in said, said


def test_the_sandbox_lets_a_store_work_and_nothing_else(installed: Machine) -> None:
    probed(installed, "commonhold-node.service", "/opt/sandboxed.py")
    installed.run("rm -rf /var/lib/commonhold/*")


def test_the_first_call_starts_the_node_and_only_the_group_may_call(installed: Machine) -> None:
    assert installed.said("python3 /opt/call.py", user="alice") == "HTTP/1.1 200 OK"
    assert "PermissionError" in installed.run("python3 /opt/call.py", user="bob", code=1).stderr
    assert installed.said("unshare -U -r python3 /opt/call.py", user="alice") == "HTTP/1.1 403 Forbidden"
    assert installed.said("stat -c '%a %U' /var/lib/commonhold") == "700 commonhold"


def test_a_node_in_its_sandbox_takes_gives_and_gives_up_blocks(installed: Machine) -> None:
    assert installed.said(f"{_PYTHON} /opt/using.py", user="alice") == "all came back"
    assert installed.said("systemctl show --property NRestarts --value commonhold-node") == "0"


def test_a_killed_node_comes_back_and_a_stopped_one_has_not_failed(installed: Machine) -> None:
    for signal, result in (("KILL", None), ("TERM", "success"), ("INT", "success")):
        assert installed.said("python3 /opt/call.py", user="alice") == "HTTP/1.1 200 OK"
        before = installed.said("systemctl show --property MainPID --value commonhold-node")
        installed.run(f"kill -s {signal} {before}; while [ -e /proc/{before} ]; do sleep 0.1; done")
        if result:
            assert installed.said("systemctl show --property Result --value commonhold-node") == result
    installed.run("systemctl stop commonhold-node.service")
    assert installed.said("systemctl is-active commonhold-node.socket") == "active"


def test_a_users_command_is_served_by_their_agent_in_its_sandbox_and_by_the_node_in_its(installed: Machine) -> None:
    uid = installed.said("id -u alice")
    runtime = f"export XDG_RUNTIME_DIR=/run/user/{uid};"
    agent = f"{runtime} systemctl --user show --property MainPID --value commonhold-agent.service"
    installed.run(f"systemctl start user@{uid}.service")
    installed.run("mkdir tree && head -c 3000000 /dev/urandom >tree/data && touch tree/empty", user="alice")
    root = installed.said(f"{runtime} hold add -r -Q tree --name tree", user="alice")
    first = installed.said(agent, user="alice")
    assert f"agent:      process {first}, yours alone" in installed.said(f"{runtime} hold status", user="alice")
    installed.run(f"{runtime} umask 027; hold get {root} -o back && diff -r tree back", user="alice")
    assert installed.said("stat -c %a back back/data", user="alice") == "750\n640"
    assert installed.said(f"{runtime} cat tree/data | hold add -Q - ; hold key new me >name", user="alice")
    assert installed.said(agent, user="alice") == first
    installed.run(f"kill -9 {first}; while [ -e /proc/{first} ]; do sleep 0.1; done")
    installed.run(f"{runtime} hold cat {root}/data | cmp - tree/data", user="alice")
    assert installed.said(agent, user="alice") not in (first, "0")
    assert installed.said("test -e .hold/agent.sock || echo none", user="alice") == "none"


# ── the mount ──


def test_the_sandbox_lets_a_keeper_get_no_further(installed: Machine) -> None:
    installed.run("chmod 700 .; echo hers >secret; chmod 600 secret", user="alice")
    probed(installed, "commonhold-mount.service", "/opt/sandboxed.py mount")


def test_an_enabled_mount_is_seen_by_the_whole_host_under_its_sandbox(installed: Machine) -> None:
    installed.run("systemctl enable --now commonhold-mount")
    assert installed.said("ls /hold /ipfs /ipns") == "/hold:\nme\n\n/ipfs:\n\n/ipns:"
    keeper, worker = keeper_and_worker(installed)
    spaces = [installed.said(f"readlink /proc/{pid}/ns/mnt /proc/{pid}/ns/net") for pid in (1, keeper, worker)]
    assert len({one.splitlines()[0] for one in spaces}) == 1, "what it mounts is its own alone"
    assert len({one.splitlines()[1] for one in spaces}) == 3, "it has somebody's network"
    for pid, capabilities in ((keeper, "00000000002001e0"), (worker, "0" * 16)):
        status = installed.said(f"grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/{pid}/status").split()
        assert status == ["CapEff:", capabilities, "CapBnd:", capabilities, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert installed.said(f"stat -c %U /proc/{worker}") == "hold-mount"


def test_two_users_work_in_their_trees_through_their_own_managers_agents(installed: Machine) -> None:
    for user in ("alice", "carol"):
        installed.run(f"{_PYTHON} /opt/keeping.py 1", user=user)
        assert installed.said("stat -c '%U %a' /hold/me/kept/note", user=user) == f"{user} 600"
        uid = installed.said(f"id -u {user}")
        runtime = f"export XDG_RUNTIME_DIR=/run/user/{uid};"
        agent = installed.said(f"{runtime} systemctl --user show -P MainPID commonhold-agent.service", user=user)
        said = installed.said(f"{runtime} hold status", user=user)
        assert f"process {agent}, yours alone" in said and "/hold/me, which your agent serves\n" in said
    assert "denied" in installed.run("ls /hold/carol", user="alice", code=2).stderr
    assert "denied" in installed.run("cat /hold/alice/kept/note", user="carol", code=1).stderr
    assert installed.run("ls /hold/me/", user="bob", code=2).stderr != "", "bob may not use the node"
    assert "OK    mount: " in installed.run("hold doctor", user="alice", code=None).stdout


def test_a_link_in_the_home_directory_leads_to_ones_own_files(installed: Machine) -> None:
    assert installed.said("hold mount --link mine", user="alice") == "made: /home/alice/mine leads to /hold/me"
    assert installed.said("cat mine/kept/note", user="alice") == "alice's"


def test_a_web_server_serves_what_is_public_from_the_mount(installed: Machine) -> None:
    server = "python3 -m http.server --bind 127.0.0.1 --directory / 8080"
    installed.run(f"systemd-run --quiet --unit=web --uid=www-data --working-directory=/ {server}")
    uid = installed.said("id -u alice")
    public, closed = (
        installed.said(f"export XDG_RUNTIME_DIR=/run/user/{uid}; echo {word} | hold add -Q {more} -", user="alice")
        for word, more in (("welcome", "--public"), ("secret", ""))
    )
    fetch = "import sys, urllib.request as web; print(web.urlopen(sys.argv[1]).read().decode(), end='')"
    installed.run(
        "while ! python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8080))'; do sleep 0.1; done"
    )
    at = "http://127.0.0.1:8080/ipfs"
    assert installed.said(f'python3 -c "{fetch}" {at}/{public}', user="bob") == "welcome"
    assert "404" in installed.run(f'python3 -c "{fetch}" {at}/{closed}', user="bob", code=1).stderr
    installed.run("systemctl stop web")


def test_a_killed_worker_is_replaced_and_a_killed_keeper_comes_back(installed: Machine) -> None:
    keeper, worker = keeper_and_worker(installed)
    installed.run(f"kill -9 {worker}")
    assert installed.said("cat /hold/me/kept/note", user="alice") == "alice's"
    assert keeper_and_worker(installed)[0] == keeper
    installed.run(f"kill -9 {keeper}")
    installed.run("until cat /hold/me/kept/note; do sleep 0.1; done", user="alice")
    assert installed.said("systemctl show -P NRestarts commonhold-mount") == "1"


def test_what_was_written_is_there_after_a_restart(installed: Machine) -> None:
    for user in ("alice", "carol"):
        installed.run(f"{_PYTHON} /opt/keeping.py 2", user=user)
    installed.run("systemctl restart commonhold-mount")
    for user in ("alice", "carol"):
        installed.run(f"{_PYTHON} /opt/keeping.py 3", user=user)


def test_a_stopped_mount_leaves_nothing_mounted_and_has_not_failed(installed: Machine) -> None:
    for signal in ("INT", "TERM"):
        keeper, _ = keeper_and_worker(installed)
        installed.run(f"kill -s {signal} {keeper}; while [ -e /proc/{keeper} ]; do sleep 0.1; done")
        installed.run('until [ "$(systemctl is-active commonhold-mount)" = inactive ]; do sleep 0.1; done')
        assert installed.said("systemctl show -P Result commonhold-mount") == "success"
        assert "commonhold" not in installed.said("cat /proc/self/mountinfo")
        installed.run("test ! -e /run/commonhold-mount && systemctl start commonhold-mount")


def test_a_mount_ends_before_its_users_agents_do(installed: Machine) -> None:
    uid = installed.said("id -u alice")
    assert "commonhold-mount.service" in installed.said(f"systemctl show -P Before user@{uid}.service").split()


# ── a grid ──


def as_user(machine: Machine, user: str, words: str) -> str:
    """What a command of an administrator prints, in its last line; as README and the units' heads have it."""
    return machine.said(f"sudo -Hu {user} {words}").splitlines()[-1]


def test_nothing_of_a_grid_runs_or_listens_before_it_is_wanted(installed: Machine) -> None:
    for unit, (user, _) in _GRID.items():
        assert installed.run(f"systemctl is-enabled {unit}@family", code=1).stdout == "disabled\n"
        assert installed.said(f"stat -c '%a %U:%G' /var/lib/{unit}") == f"700 {user}:{user}"
        assert installed.said(f"getent passwd {user}").endswith(f":/var/lib/{unit}:/usr/sbin/nologin")
        assert "Assertion failed" in installed.run(f"systemctl start {unit}@family", code=1).stderr
        assert installed.said(f"ls -A /var/lib/{unit}") == ""


@pytest.mark.parametrize("unit", _GRID)
def test_the_sandbox_lets_a_daemon_of_a_grid_work_and_nothing_else(installed: Machine, unit: str) -> None:
    state = "/var/lib/commonhold-blesser" if unit == "commonhold-blesser" else f"/var/lib/{unit}/probe"
    probed(installed, f"{unit}@probe.service", f"/opt/sandboxed.py grid {state}")
    installed.run(f"rm -rf /var/lib/{unit}/*")


def test_an_administrator_makes_a_grid_of_services_and_somebody_keeps_a_file_there(installed: Machine) -> None:
    installed.run("echo '127.0.0.1 attic.example hold-test' >>/etc/hosts")
    as_user(installed, "hold-blesser", "hold init")
    where = "--listen tcp:0.0.0.0:{0} --announce tcp:attic.example:{0}"
    grid = as_user(installed, "hold-blesser", f"hold grid create family {where.format(4653)}")
    home = _GRID["commonhold-introducer"][1]
    address = as_user(
        installed, "hold-introducer", f"hold introducer init {home} --grid {grid} {where.format(7374)} --name intro"
    )
    pin, _, hint = address.partition("@")
    table = f'\\n[[introducers]]\\npin = "{pin}"\\naddresses = ["{hint}"]\\n'
    installed.run(f"printf '{table}' >>{_GRID['commonhold-blesser'][1]}/blesser.toml")
    installed.run("systemctl enable --now commonhold-blesser@family commonhold-introducer@family")
    relay = f"hold relay init {_GRID['commonhold-relay'][1]} {where.format(7375)} --ports 7376-7399"
    as_user(installed, "hold-relay", relay)
    installed.run("systemctl enable --now commonhold-relay@family")
    state = _GRID["commonhold-server"][1]
    as_user(installed, "hold-server", f"hold server init {state} --grid {grid} {where.format(7373)} --name attic")
    installed.run(f"echo 'reserve = 0' >>{state}/server.toml")  # the machine's disk is smaller than what stays free
    code = as_user(installed, "hold-blesser", "hold invite --server --long")
    as_user(installed, "hold-server", f"hold join {code} --server {state}")
    installed.run("systemctl enable --now commonhold-server@family")
    code = as_user(installed, "hold-blesser", "hold invite bob --quota 1G --long")
    installed.run(
        f"hold join {code} && sed -i 's/^k = .*/k = 1/; s/^n = .*/n = 1/' .hold/grids/family/grid.toml", user="bob"
    )
    installed.run("until hold --json servers --ask | grep -q '\"allowed\": true'; do sleep 0.2; done", user="bob")
    installed.run("head -c 5000000 /dev/urandom >kept && hold put kept /hold/me && hold keep", user="bob")
    used = as_user(installed, "hold-server", f"sh -c 'du -s {state}/shares'").split()[0]
    assert int(used) > 4800, "nothing of it is there"


def test_no_daemon_can_read_the_key_of_another(installed: Machine) -> None:
    keys = {unit: f"{home}/server.pem" for unit, (_, home) in _GRID.items()}
    keys["commonhold-blesser"] = f"{_GRID['commonhold-blesser'][1]}/blesser.pem"
    for unit, (user, _) in _GRID.items():
        for other, key in keys.items():
            installed.run(f"sudo -u {user} cat {key}", code=0 if unit == other else 1)
    for key in keys.values():
        assert "denied" in installed.run(f"cat {key}", user="bob", code=1).stderr
    pids = [installed.said(f"systemctl show -P MainPID {unit}@family") for unit in _GRID]
    for pid in pids:
        status = installed.said(f"grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/{pid}/status").split()
        assert status == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]


def test_a_shelf_on_another_disk_takes_shares_once_the_unit_may_write_there(installed: Machine) -> None:
    state = _GRID["commonhold-server"][1]
    installed.run("mkdir -p /mnt/disk2 && mount -t tmpfs -o mode=755,size=64m disk2 /mnt/disk2")
    installed.run("install -d -o hold-server -g hold-server -m 700 /mnt/disk2/hold")
    drop_in = "/etc/systemd/system/commonhold-server@family.service.d"
    shelf = "/mnt/disk2/hold"
    lines = f"[Unit]\\nRequiresMountsFor={shelf}\\n[Service]\\nReadWritePaths={shelf}\\nNoExecPaths={shelf}\\n"
    installed.run(f"mkdir {drop_in} && printf '{lines}' >{drop_in}/disk2.conf && systemctl daemon-reload")
    installed.run("systemctl stop commonhold-server@family")
    as_user(installed, "hold-server", f"hold server add {state} {shelf} --limit 50M")
    installed.run("systemctl start commonhold-server@family")
    assert installed.said(f"ls {shelf} | wc -l") == "256"
    pid = installed.said("systemctl show -P MainPID commonhold-server@family")
    assert "noexec" in installed.said(f"grep ' {shelf} ' /proc/{pid}/mountinfo")


def test_a_killed_daemon_of_a_grid_comes_back_and_a_stopped_one_has_not_failed(installed: Machine) -> None:
    for unit in _GRID:
        one = f"{unit}@family"
        pid = installed.said(f"systemctl show -P MainPID {one}")
        installed.run(f"kill -9 {pid}; until [ $(systemctl show -P NRestarts {one}) = 1 ]; do sleep 0.1; done")
        installed.run(f"until systemctl is-active {one}; do sleep 0.1; done")
        installed.run(f"systemctl stop {one}")
        assert installed.said(f"systemctl show -P Result {one}") == "success"
        installed.run(f"systemctl start {one}")


def test_what_its_config_says_wrong_stops_it_and_is_not_tried_for_ever(installed: Machine) -> None:
    config = f"{_GRID['commonhold-server'][1]}/server.toml"
    installed.run(f"cp -p {config} /root/good && echo 'colour = \"blue\"' >>{config}")
    installed.run("systemctl restart commonhold-server@family", code=1)
    assert installed.run("systemctl is-failed commonhold-server@family", code=0).stdout == "failed\n"
    assert "colour: no such field" in installed.said(
        "journalctl --no-pager --output cat --unit commonhold-server@family"
    )
    installed.run(f"cp -p /root/good {config} && systemctl restart commonhold-server@family")


def test_the_tor_of_the_machine_publishes_a_server_in_its_sandbox(installed: Machine) -> None:
    """As commonhold(7) has it. This Tor has no network; it takes orders all the same."""
    config = f"{_GRID['commonhold-server'][1]}/server.toml"
    installed.run("adduser --quiet hold-server debian-tor")
    onion = """
[onion]
control = "unix:/run/tor/control"
cookie = "/run/tor/control.authcookie"
port = 7373
"""
    installed.run(f"""sed -i 's/^listen = .*/listen = ["tcp:0.0.0.0:7373", "tcp:127.0.0.1:7372"]/' {config}""")
    installed.run(f"cat >>{config} <<'END'{onion}END")
    installed.run("systemctl restart commonhold-server@family")
    journal = "journalctl --no-pager --output cat --unit commonhold-server@family"
    installed.run(f"until {journal} | grep -q 'published at tor:.*onion:7373'; do sleep 0.1; done")
    installed.run("systemctl restart tor@default")
    installed.run(f"until [ $({journal} | grep -c 'published at tor:') = 2 ]; do sleep 0.1; done")
    assert installed.said(f"stat -c '%a %U' {config.replace('server.toml', 'onion.pem')}") == "600 hold-server"


# ── upgrade, removal, purge ──


def test_an_upgrade_keeps_what_the_administrator_chose(installed: Machine) -> None:
    installed.run("echo '# ours' >>/etc/commonhold/node.toml; systemctl --global disable commonhold-agent.socket")
    keeper, _ = keeper_and_worker(installed)
    pids = {installed.said(f"systemctl show -P MainPID {unit}@family") for unit in _GRID}
    installed.run("dpkg --install /opt/commonhold_*_amd64.deb")
    assert pids.isdisjoint({installed.said(f"systemctl show -P MainPID {unit}@family") for unit in _GRID} | {"0"})
    assert keeper_and_worker(installed)[0] != keeper
    assert installed.said("cat /hold/me/kept/note", user="alice") == "alice's"
    assert installed.said("tail -n 1 /etc/commonhold/node.toml") == "# ours"
    assert installed.said("stat -c '%a %U:%G' /etc/commonhold/node.toml") == "640 root:commonhold"
    assert installed.run("systemctl --global is-enabled commonhold-agent.socket", code=1).stdout == "disabled\n"
    assert installed.said("systemctl is-active commonhold-node.socket") == "active"
    assert any(line.endswith("  data") for line in installed.said("hold pin ls", user="bob").splitlines())


def test_removal_stops_the_services_and_keeps_config_and_content(installed: Machine) -> None:
    installed.run("mkdir -p /var/lib/commonhold && touch /var/lib/commonhold/content")
    public = installed.said("id -u hold-public")
    installed.run("dpkg --remove commonhold")
    for unit, (_, home) in _GRID.items():
        assert installed.run(f"systemctl is-active {unit}@family", code=None).stdout == "inactive\n"
        installed.run(f"test -d {home}")
    assert installed.run("systemctl is-active commonhold-node.socket", code=None).stdout == "inactive\n"
    assert installed.run(f"systemctl is-active commonhold-mount user@{public}", code=None).stdout == "inactive\n" * 2
    assert "commonhold" not in installed.said("cat /proc/self/mountinfo")
    installed.run("test ! -e /usr/bin/hold && test ! -e /usr/lib/commonhold && test ! -e /run/commonhold/node.sock")
    installed.run("test -e /etc/commonhold/node.toml && test -e /var/lib/commonhold/content")


def test_purging_leaves_only_what_people_stored(installed: Machine) -> None:
    installed.run("umount /mnt/disk2; rm -r /etc/systemd/system/commonhold-server@family.service.d")
    said = installed.run("dpkg --purge commonhold").stderr
    assert "what users stored is kept in /var/lib/commonhold\n" in said
    assert "the key of a grid is kept in /var/lib/commonhold-blesser\n" in said
    left = installed.said("find / -xdev -iname '*commonhold*' -not -path '/opt/*' -not -path '/proc/*' | sort")
    stays = ("", "-blesser", "-relay", "-server")
    assert left.splitlines() == [f"/var/lib/commonhold{one}" for one in stays]
    for kept in ("server/family/server.pem", "blesser/.hold/grids/family/blesser.pem", "relay/family/server.pem"):
        installed.run(f"test -s /var/lib/commonhold-{kept}")
    installed.run("test ! -e /hold && test ! -e /ipfs && test ! -e /ipns")
    assert installed.said("ls /home/bob/.hold/format.json")
    assert installed.run("dpkg --status commonhold", code=1).stdout == ""
    assert installed.said("systemctl is-system-running") == "running"


def test_an_empty_state_directory_goes_when_purged(installed: Machine) -> None:
    installed.run(
        "rm -r /var/lib/commonhold*; dpkg --install /opt/commonhold_*_amd64.deb; mkdir -p /var/lib/commonhold"
    )
    assert "is kept" not in installed.run("dpkg --purge commonhold").stderr
    assert installed.run("ls -d /var/lib/commonhold*", code=2).stdout == ""
