"""What a node is told, once, when it starts. TOML; an unknown or ill-typed field is an error that names it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from commonhold.host import configs


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the node one user may have at a time."""

    requests: int = 4  # under way at once; further ones wait
    waiting: int = 256  # that wait; further ones are refused
    sessions: int = 32
    connections: int = 256
    idle_seconds: float = 600.0  # a session nobody asked anything of is closed
    stall_seconds: float = 60.0  # a body or an answer that does not move for so long is given up


@dataclass(frozen=True, slots=True)
class Config:
    """One node. Without a group only the node's own user may use it; `quota` is in bytes, None for none."""

    repository: Path
    socket: Path
    group: str | None = None
    quota: int | None = None
    quotas: Mapping[int, int] = field(default_factory=dict)  # by uid, in place of `quota`
    limits: Limits = field(default_factory=Limits)

    def quota_of(self, uid: int) -> int | None:
        """How many bytes a user may be charged for."""
        return self.quotas.get(uid, self.quota)


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    _only(values, {"repository", "socket", "group", "quota", "quotas", "limits"}, "")
    quotas = _typed(values, "quotas", dict, {})
    if not all(uid.isdecimal() and isinstance(size, int) and size >= 0 for uid, size in quotas.items()):
        raise configs.wrong("quotas", "not a table of bytes by uid")
    limits = _typed(values, "limits", dict, {})
    _only(limits, {one.name for one in fields(Limits)}, "limits.")
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise configs.wrong(f"limits.{name}", "not a number above 0")
        if not name.endswith("_seconds") and not isinstance(value, int):
            raise configs.wrong(f"limits.{name}", "not a whole number")
    for name in ("repository", "socket"):
        if not _typed(values, name, str, "").startswith("/"):
            raise configs.wrong(name, "not an absolute path")
    return Config(
        repository=Path(values["repository"]),
        socket=Path(values["socket"]),
        group=_typed(values, "group", str, "") or None,
        quota=_typed(values, "quota", int, None),
        quotas={int(uid): size for uid, size in quotas.items()},
        limits=Limits(**limits),
    )


def _typed(values: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = values.get(name, default)
    if value is not default and (not isinstance(value, kind) or isinstance(value, bool)):
        raise configs.wrong(name, f"not a {kind.__name__}")
    return value


def _only(values: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for name in values:
        if name not in known:
            raise configs.wrong(prefix + name, "no such field")
