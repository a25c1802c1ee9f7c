"""What an agent does by itself, in a thread of its own: what policies say (`duty`), and looking after what its user
keeps on grids (`rounds`).

No call waits for it. It begins when the agent has been up for a while: whoever has just called comes first.
"""

import contextlib
import os
import random
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from commonhold.agent.duty import Duty
from commonhold.agent.gridding import GRIDS
from commonhold.errors import HoldError
from commonhold.host.saying import say

if TYPE_CHECKING:
    from commonhold.host.looping import LoopThread

_FIRST, _LATEST = 30.0, 90.0  # seconds until it begins, drawn
_MOMENT: Final = 0.1
_HAND: Final = 600.0  # seconds from one look at what the tender has to the next
_REST: Final = 3600.0  # where no grid was joined, until that is looked at again


class Tending:
    """See the module. As a block: it ends with that."""

    def __init__(
        self,
        state: Path,
        uid: int,
        begin: tuple[float, float] = (_FIRST, _LATEST),
        duty: Duty | None = None,
        tender: Path | None = None,
    ) -> None:
        """It begins within so many seconds, drawn. `duty`: None where no own tree is served; `tender`: the socket of
        the one of this host."""
        self._duty = duty
        self._begin = begin
        self._tender = tender
        self._handed: float | None = None
        self._state = state
        self._uid = uid
        self._draw = random.SystemRandom()
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._loop: LoopThread | None = None
        self._thread = threading.Thread(target=self._run, name="hold-tending", daemon=True)

    @property
    def busy(self) -> bool:
        """Whether it is at work, which a process that nobody needs does not break off."""
        return self._loop is not None or (self._duty is not None and self._duty.busy)

    def __enter__(self) -> "Tending":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. What was begun is broken off: it is found when it is looked at again."""
        self._stop.set()
        while self._thread.is_alive():
            if self._duty is not None:
                self._duty.cancel()
            with self._mutex:
                if self._loop is not None:
                    self._loop.cancel()
            self._thread.join(_MOMENT)

    def _run(self) -> None:
        pause = self._draw.uniform(*self._begin)
        if (self._state / GRIDS).is_dir():
            self._hand(begun=True)
        while not self._stop.wait(pause if self._handed is None else min(pause, _HAND)):
            pause = _REST
            if (self._state / GRIDS).is_dir():
                pause = min(self._keep(), self._round())
                self._hand()

    def _hand(self, *, begun: bool = False) -> None:
        """Have the host's tender, if there is one, keep away; and now and then know what there is to look after."""
        if self._tender is None or not self._tender.exists():
            return
        from commonhold.agent.handing import Handing

        handing = Handing(self._state, self._uid, self._tender, _now)
        if begun:
            handing.meet()
        elif self._handed is None or time.monotonic() - self._handed >= _HAND:
            self._handed = time.monotonic()
            handing.hand()

    def _keep(self) -> float:
        """Do what a policy says, if one is due; seconds until the next."""
        try:
            return _REST if self._duty is None else self._duty.once()
        except CancelledError:
            return 0.0
        except (HoldError, OSError) as error:
            say("hold agent", f"keeping what policies say: {error}")
            return _REST

    def _round(self) -> float:
        """A visit, if one is due; seconds until the next."""
        from commonhold.agent.rounds import rounds
        from commonhold.grids.rounds import Setting
        from commonhold.host.looping import LoopThread

        with self._mutex:
            if self._stop.is_set():
                return 0.0
            self._loop = LoopThread("hold-tend")
        made = rounds(self._state, self._uid, Setting(_now, self._draw.random, os.urandom))
        try:
            with contextlib.suppress(CancelledError):
                return self._loop.run(made.once())
            return 0.0
        except (HoldError, OSError) as error:  # a full disk, say, that lets nothing be written down
            say("hold agent", f"looking after what is kept: {error}")
            return _REST
        finally:
            with self._mutex:
                loop, self._loop = self._loop, None
            loop.close()


def _now() -> int:
    return int(time.time())
