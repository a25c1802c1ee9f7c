"""Which boot of the machine this is."""

import secrets
from pathlib import Path

_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """16 bytes, the same until the machine is started again. Where the kernel does not tell, new ones each time."""
    try:
        return bytes.fromhex(_ID.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return secrets.token_bytes(16)
