"""The one way a decoder refuses: what was being read, and what is wrong with it."""


class Malformed(ValueError):
    """Bytes or text that are not what they claim to be. Callers translate it to an error with a subject."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"malformed {what}: {why}")
        self.what = what
        self.why = why


class Unsupported(Malformed):
    """Well-formed, but of a kind that we do not know: a codec, a hash, a version."""
