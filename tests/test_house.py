"""The house keeps its own rules: no floor without a contract, no promise without a file."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_floor_is_named_in_the_import_contracts() -> None:
    contracts = (ROOT / ".importlinter").read_text()
    floors = {
        path.stem
        for path in (ROOT / "src/commonhold").iterdir()
        if path.name[0] not in "_." and path.suffix in ("", ".py")
    }
    layers = contracts.split("layers =")[1].split("[")[0]
    assert {f"commonhold.{floor}" for floor in floors} == set(re.findall(r"commonhold\.\w+", layers))


def test_a_check_runs_the_tests_of_all_pure_floors() -> None:
    pure = (ROOT / ".importlinter").read_text().split("contract:pure]")[1].split("forbidden_modules")[0]
    floors = set(re.findall(r"commonhold\.(\w+)\n", pure))
    makefile = (ROOT / "Makefile").read_text()
    checked = re.search(r"^PURE := ([\w ]+)", makefile, re.MULTILINE)
    assert checked is not None
    assert set(checked[1].split()) == {floor for floor in floors if (ROOT / "tests" / floor).is_dir()}


def test_every_command_is_in_the_readme() -> None:
    from commonhold.cli.main import COMMANDS

    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        assert f"`{name}" in readme or f"hold {name}" in readme


def test_the_exit_codes_of_the_help_are_those_of_the_table() -> None:
    from commonhold.cli.main import EXIT_CODES
    from commonhold.errors import Kind

    listed = {int(number) for number in re.findall(r"\b(\d+) [a-z]", EXIT_CODES)}
    assert listed == {0} | {kind.value.exit for kind in Kind}


# Who opens a connection, and in which files: one way out, one way in. A lab's wires lead from loopback to loopback.
NETWORK = {
    r"\b(create_connection|open_connection|sock_connect|getaddrinfo|gethostby\w+|aiohappyeyeballs)\b": {
        "transport/dial.py",
        "lab/wire.py",
    },
    r"\b(ClientSession|BaseConnector|_create_connection)\b": {"transport/connection.py"},
    r"\b(create_server|start_server|TCPSite|run_app)\b": {"transport/listen.py", "lab/wire.py"},
    r"\bAF_INET6?\b": {"transport/listen.py", "transport/dial.py"},
    r"\b(import ssl|from ssl)\b": {"transport/tls.py"},
    r"aiohttp_socks|python_socks|urllib\.request|import requests|import httpx|HTTPSConnection|TCPConnector": set(),
    r"create_default_context": set(),
}


def test_nothing_but_the_transport_opens_connections_to_other_machines() -> None:
    source = ROOT / "src/commonhold"
    for words, allowed in NETWORK.items():
        found = {str(path.relative_to(source)) for path in source.rglob("*.py") if re.search(words, path.read_text())}
        assert found <= allowed, words


def test_there_is_one_function_that_dials() -> None:
    dial = (ROOT / "src/commonhold/transport/dial.py").read_text()
    assert dial.count(".create_connection(") == 1 and dial.count(".getaddrinfo(") == 1
