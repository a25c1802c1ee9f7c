"""How a call goes, as people see it."""

from commonhold.cli.output import Output
from commonhold.formats.cid import Cid


class Watch:
    """See `calls.Watcher`: a progress line, and remarks."""

    def __init__(self, out: Output, what: str, total: int | None = None) -> None:
        self._out = out
        self._progress = out.progress(what, total)
        self.bytes = self._progress.bytes
        self.close = self._progress.close

    @property
    def done(self) -> int:
        """Bytes so far."""
        return self._progress.done

    def file(self, path: str, cid: Cid, size: int) -> None:
        """One more file, directory or link is in."""
        self._out.result({"cid": str(cid), "path": path, "size": size}, f"added {cid} {path}")

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""
        self._out.remark(f"skipped {path}: {why}")

    def remark(self, text: str) -> None:
        """Something worth saying."""
        self._out.remark(text)
