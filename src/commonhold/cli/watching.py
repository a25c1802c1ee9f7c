"""How a call goes, as people see it."""

from commonhold.cli.output import Output, counted, human
from commonhold.formats.cid import Cid
from commonhold.host.names import shown


class Watch:
    """See `calls.Watcher`: a progress line, and remarks."""

    def __init__(self, out: Output, what: str, total: int | None = None) -> None:
        self._out = out
        self._progress = out.progress(what, total)
        self.parts: dict[str, int] = {}
        self.bytes = self._progress.bytes
        self.close = self._progress.close

    @property
    def done(self) -> int:
        """Bytes so far."""
        return self._progress.done

    def part(self, name: str, count: int) -> None:
        """So many more bytes went to one of several places: who has least is who is waited for."""
        name = shown(name)
        self.parts[name] = self.parts.get(name, 0) + count
        least = min(self.parts, key=self.parts.__getitem__)
        self._progress.beside = (
            f"; of {counted(len(self.parts), 'server')} {least} has least, {human(self.parts[least])}"
        )
        self._progress.bytes(0)

    def told_parts(self) -> None:
        """Say what went where, if anything did."""
        if self.parts:
            self._out.remark("sent: " + ", ".join(f"{name} {human(size)}" for name, size in sorted(self.parts.items())))

    def file(self, path: str, cid: Cid, size: int) -> None:
        """One more file, directory or link is in."""
        self._out.result({"cid": str(cid), "path": path, "size": size}, f"added {cid} {path}")

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""
        self._out.remark(f"skipped {path}: {why}")

    def remark(self, text: str) -> None:
        """Something worth saying."""
        self._out.remark(text)
