"""The time as the kernel notes it for files."""

import os
import weakref


class KernelClock:
    """Nanoseconds since 1970, by the clock that the kernel has for files.

    That one stands still for milliseconds: by a finer one, what the kernel writes after us would be older than what we
    made before. CLOCK_REALTIME_COARSE is not it either, as file systems may have given finer times since it moved.
    """

    def __init__(self) -> None:
        self._noted, other = os.pipe()  # a file of no file system: nothing is written anywhere
        os.close(other)
        weakref.finalize(self, os.close, self._noted)

    def __call__(self) -> int:
        os.utime(self._noted)
        return os.fstat(self._noted).st_mtime_ns
