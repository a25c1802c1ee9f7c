"""The units of this version, and how what a machine has installed differs from them.

Knows unit files as text; does not talk to systemd. Comments and blank lines are no difference. Drop-ins
(`systemctl edit`) are the administrator's own and are named, not judged. Source: systemd.unit(5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

NODE = ("commonhold-node.socket", "commonhold-node.service")
TENDER = ("commonhold-tender.socket", "commonhold-tender.timer", "commonhold-tender.service")
MOUNT = ("commonhold-mount.service",)
GRID = tuple(f"commonhold-{role}@.service" for role in ("server", "introducer", "blesser", "relay"))
AGENT = ("commonhold-agent.socket", "commonhold-agent.service", "commonhold-agent.timer")
SYSTEM_PATHS = tuple(Path(f"{path}/systemd/system") for path in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
_WANTED = Path("/etc/systemd/system/multi-user.target.wants")
USER_PATHS = tuple(Path(f"{path}/systemd/user") for path in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))


@dataclass(frozen=True, slots=True)
class Drift:
    """One unit as installed: where (None: nowhere), lines that ours has not, lines that it lacks, its drop-ins."""

    unit: str
    path: Path | None
    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    drop_ins: tuple[Path, ...] = ()

    @property
    def same(self) -> bool:
        """Whether it says what ours says."""
        return self.path is not None and not self.added and not self.missing


def shipped(unit: str) -> str:
    """The text of a unit of this version."""
    return (files("commonhold.host") / "shipped" / unit).read_text()


def drift(unit: str, paths: tuple[Path, ...]) -> Drift:
    """Compare the unit that systemd would load from these directories, the first that has it, with ours."""
    drop_ins = tuple(one for path in paths for one in sorted((path / f"{unit}.d").glob("*.conf")))
    for path in paths:
        if (path / unit).exists():
            ours, theirs = list(_lines(shipped(unit))), list(_lines((path / unit).read_text()))
            added = tuple(line for line in theirs if line not in ours)
            missing = tuple(line for line in ours if line not in theirs)
            return Drift(unit, path / unit, added, missing, drop_ins)
    return Drift(unit, None, drop_ins=drop_ins)


def enabled(unit: str) -> bool:
    """Whether the service manager starts a unit with the machine: `WantedBy=multi-user.target`."""
    return (_WANTED / unit).is_symlink()


def _lines(text: str) -> Iterator[str]:
    """What of a unit file counts, each setting with its section."""
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif stripped and stripped[0] not in "#;":
            yield f"{section} {stripped}"
