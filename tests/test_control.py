"""REQUIREMENTS D4, as far as the source shows it. `tests/system/test_control.py` asks the daemons themselves."""

import re
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src/commonhold"
OPENS = r"\bendpoint\.listen\(|\b(UnixSite|start_unix_server|create_unix_server)\b"
ASKS = r"from commonhold\.ipc\.(peer import .*\bcredentials\b|accepting import .*\bConnections\b)"
PINNED = r"from commonhold\.transport import .*\blisten\b"


def test_d4_who_opens_a_unix_socket_asks_the_kernel_who_calls_or_serves_tls_with_the_servers_key_on_it() -> None:
    opening = {path: path.read_text() for path in SOURCE.rglob("*.py") if re.search(OPENS, path.read_text())}
    control = {path for path, text in opening.items() if not re.search(PINNED, text)}
    assert {"node", "agent", "ipc"} <= {path.parent.name for path in control}
    for path in control:
        room = "".join(one.read_text() for one in path.parent.glob("*.py"))
        assert re.search(ASKS, room), f"{path} opens a socket, and nobody in {path.parent.name} asks who calls"
