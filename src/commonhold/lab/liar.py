"""A storage server that lies, for labs: it takes shares in as others do, and gives back other bytes.

`python -m commonhold.lab.liar STATE`. It says that all it has is sound; whoever reads finds
out that nothing of it opens.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO

from commonhold.formats.shareindex import ShareIndex
from commonhold.storage import config, main, places
from commonhold.storage.keeping import Keeper

_OTHER = bytes(255 - number for number in range(256))


class Liar(Keeper):
    """See the module."""

    def open(self, index: ShareIndex, copy: int = 0) -> tuple[BinaryIO, int]:
        """A file with every byte of the share turned round, and its size."""
        file, size = super().open(index, copy)
        with file:
            other = os.fdopen(os.memfd_create("share"), "w+b", buffering=0)
            while data := file.read(1 << 20):
                other.write(data.translate(_OTHER))
        return other, size

    def check(self, index: ShareIndex, copy: int = 0) -> bool:
        """All is well."""
        self.open(index, copy)[0].close()
        return True


if __name__ == "__main__":
    main.run(config.read(places.home(Path(sys.argv[1])).config), os.environ, Liar)
