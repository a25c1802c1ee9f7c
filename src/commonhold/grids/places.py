"""Where a user's grids are: REPO/grids/NAME, a directory of its owner alone, with `grid.toml`, caches and the override.

What `grid.toml` says is a membership's; here it is read by a function that is given. docs/spec/known-servers.md.
"""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.private import refuse_shared
from commonhold.transport.rules import Rules

GRIDS: Final = "grids"
CONFIG: Final = "grid.toml"


class Membership(Protocol):
    """A grid that is taken part in, as its `grid.toml` has it."""

    @property
    def name(self) -> str: ...
    @property
    def directory(self) -> Path: ...
    @property
    def trust(self) -> Trust: ...
    @property
    def rules(self) -> Rules: ...


T = TypeVar("T")


def joined(repository: Path, owner: int, load: Callable[[Path], T], name: str | None = None) -> list[T]:
    """Return the grids that are taken part in, or the one of a name. NOT_FOUND where there is none; DENIED where
    others could have written there. `load` reads the `grid.toml` in a grid's directory."""
    above = repository / GRIDS
    found = _names(above)
    if not found:
        raise HoldError(
            "find", Kind.NOT_FOUND, "grid", f"none was joined: {above} has none", hint="hold join INVITATION"
        )
    if name is not None and name not in found:
        raise HoldError("find", Kind.NOT_FOUND, f"grid {name}", "not joined", hint=f"--grid {found[0]}")
    wanted = found if name is None else [name]
    for path in (above, *(above / one for one in wanted)):
        with os_errors("find", str(path)):
            refuse_shared("find", path.lstat(), path, owner, stat.S_IFDIR)
    return [load(above / one) for one in wanted]


def _names(above: Path) -> list[str]:
    """Directories with a `grid.toml`: one without is of a join that did not end."""
    try:
        found = sorted(one.name for one in above.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HoldError("find", Kind.DENIED, str(above), error.strerror or str(error)) from error
    return [name for name in found if (above / name / CONFIG).is_file()]
