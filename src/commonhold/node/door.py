"""What a node says of itself when something goes wrong there."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


def logger() -> logging.Logger:
    """Where it is said what went wrong here. What strangers send is answered, not said: it could go on for ever."""
    found = logging.getLogger("commonhold.node")
    found.addFilter(_is_ours)
    return found


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
