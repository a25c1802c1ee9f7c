"""What runs beside a storage server for as long as that does."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from commonhold.errors import HoldError
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import Ledger

Beside: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
_SWEEP_SECONDS = 60.0
_MOVE_SECONDS = 2.0  # until it is looked again whether a shelf is to be emptied


@dataclass(frozen=True, slots=True)
class Sweeping:
    """Lets go what is over, now and then, in small steps."""

    keeper: Keeper
    warn: Callable[[str], None]

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                while await asyncio.to_thread(self.keeper.sweep):
                    pass
            except HoldError as error:  # a full disk ends no server: what is kept can be read, and room may come
                self.warn(str(error))
            await asyncio.sleep(_SWEEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Moving:
    """Empties the shelves that are to be emptied, a share at a time."""

    keeper: Keeper
    warn: Callable[[str], None]

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                while await asyncio.to_thread(self.keeper.mover.step):
                    pass
            except HoldError as error:  # such as a ledger whose disk is full: it is tried again
                self.warn(str(error))
            await asyncio.sleep(_MOVE_SECONDS)


@dataclass(frozen=True, slots=True)
class Leaving:
    """Says when a server that is being emptied is empty."""

    keeper: Keeper
    ledger: Ledger
    warn: Callable[[str], None]

    async def run(self) -> None:
        """Go on until cancelled."""
        said = False
        while True:
            empty = self.keeper.leaving is not None and not (await asyncio.to_thread(self.ledger.left)).shares
            if empty and not said:
                self.warn("the last share has gone: this server can be switched off")
            said = empty
            await asyncio.sleep(_MOVE_SECONDS)
