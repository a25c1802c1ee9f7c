"""What a volume is to do, in dicts: the oracle of the tests. Numbers are the volume's own."""

import copy
import errno

from commonhold.trees import ROOT

LIMIT = 1 << 23  # of a file's size here


class Refused(Exception):
    """The errno that a volume is to answer with."""

    def __init__(self, code: int) -> None:
        super().__init__(errno.errorcode[code])
        self.errno = code


class Model:
    """Directories are dicts of names, files bytearrays and what of them is no hole."""

    def __init__(self) -> None:
        self.directories: dict[int, dict[bytes, int]] = {ROOT: {}}
        self.parents: dict[int, int] = {ROOT: ROOT}
        self.files: dict[int, bytearray] = {}
        self.data: dict[int, bytearray] = {}  # 1 where a byte was written
        self.links: dict[int, int] = {}

    def copied(self) -> "Model":
        return copy.deepcopy(self)

    # ── names ──

    def _found(self, parent: int, name: bytes) -> int:
        if name not in self.directories[parent]:
            raise Refused(errno.ENOENT)
        return self.directories[parent][name]

    def check_make(self, parent: int, name: bytes) -> None:
        if parent not in self.parents:
            raise Refused(errno.ENOENT)
        if name in self.directories[parent]:
            raise Refused(errno.EEXIST)

    def made(self, parent: int, name: bytes, number: int, directory: bool) -> None:
        if name:
            self.directories[parent][name] = number
        if directory:
            self.directories[number], self.parents[number] = {}, parent
        else:
            self.files[number], self.data[number] = bytearray(), bytearray()
            self.links[number] = 1 if name else 0

    def link(self, number: int, parent: int, name: bytes) -> None:
        self.check_make(parent, name)
        self.directories[parent][name] = number
        self.links[number] += 1

    def unlink(self, parent: int, name: bytes) -> None:
        number = self._found(parent, name)
        if number in self.directories:
            raise Refused(errno.EISDIR)
        del self.directories[parent][name]
        self.links[number] -= 1

    def rmdir(self, parent: int, name: bytes) -> None:
        number = self._found(parent, name)
        self._check_empty(number)
        del self.directories[parent][name], self.parents[number]

    def _check_empty(self, number: int) -> None:
        if number not in self.directories:
            raise Refused(errno.ENOTDIR)
        if self.directories[number]:
            raise Refused(errno.ENOTEMPTY)

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, exchange: bool) -> None:
        number = self._found(parent, name)
        if new_parent not in self.parents:
            raise Refused(errno.ENOENT)
        other = self.directories[new_parent].get(new_name)
        if other is None and exchange:
            raise Refused(errno.ENOENT)
        if other == number:
            return
        self._check_loop(number, new_parent)
        if exchange:
            assert other is not None
            self._check_loop(other, parent)
            self._put(parent, name, other)
        else:
            if other is not None:
                self._replace(number, other)
            del self.directories[parent][name]
        self._put(new_parent, new_name, number)

    def _put(self, parent: int, name: bytes, number: int) -> None:
        self.directories[parent][name] = number
        if number in self.directories:
            self.parents[number] = parent

    def _replace(self, number: int, other: int) -> None:
        if number in self.directories:
            self._check_empty(other)
            del self.parents[other]
        elif other in self.directories:
            raise Refused(errno.EISDIR)
        else:
            self.links[other] -= 1

    def _check_loop(self, number: int, at: int) -> None:
        while number in self.directories and at != ROOT:
            if at == number:
                raise Refused(errno.EINVAL)
            at = self.parents[at]

    def forget(self, number: int) -> None:
        if self.links.get(number) == 0:
            del self.files[number], self.data[number], self.links[number]
        elif number in self.directories and number not in self.parents:
            del self.directories[number]

    def forget_all(self) -> None:
        for number in [*self.files, *self.directories]:
            self.forget(number)

    # ── contents ──

    def resize(self, number: int, size: int) -> None:
        for kept in (self.files[number], self.data[number]):
            del kept[size:]
            kept += bytes(size - len(kept))

    def write(self, number: int, offset: int, data: bytes, mark: int = 1) -> None:
        stop = offset + len(data)
        self.resize(number, max(len(self.files[number]), stop))
        self.files[number][offset:stop] = data
        self.data[number][offset:stop] = bytes([mark]) * len(data)

    def punch(self, number: int, offset: int, length: int) -> None:
        stop = min(offset + length, len(self.files[number]))
        if offset < stop:
            self.write(number, offset, bytes(stop - offset), 0)

    def copy(self, source: int, start: int, number: int, offset: int, length: int) -> None:
        length = max(0, min(length, len(self.files[source]) - start))
        if source == number and start < offset + length and offset < start + length:
            raise Refused(errno.EINVAL)
        if not length:
            return
        marks = bytes(self.data[source][start : start + length])
        self.write(number, offset, bytes(self.files[source][start : start + length]))
        self.data[number][offset : offset + length] = marks

    def blocks(self, number: int) -> int:
        return (self.data[number].count(1) + 511) // 512

    def seek_data(self, number: int, offset: int) -> int:
        found = self.data[number].find(1, offset)
        if found < 0 or offset >= len(self.files[number]):
            raise Refused(errno.ENXIO)
        return found

    def seek_hole(self, number: int, offset: int) -> int:
        if offset >= len(self.files[number]):
            raise Refused(errno.ENXIO)
        found = self.data[number].find(0, offset)
        return len(self.files[number]) if found < 0 else found
