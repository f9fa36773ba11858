"""What goes wrong, as lines of JSON on standard error."""

import json
import logging
import time
from typing import TextIO


def log_to(stream: TextIO) -> None:
    """Write what goes wrong as JSON lines, unless somebody has already decided about logging."""
    for name in ("tokenward", "uvicorn.error", "stamina", "opentelemetry"):
        logger = logging.getLogger(name)
        if not logger.hasHandlers():
            handler = logging.StreamHandler(stream)
            handler.setFormatter(JsonLines())
            logger.addHandler(handler)
            logger.setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """One record, one line: time, level, logger, message, and what else there is to say."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one string in it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if hasattr(record, "request_id"):
            line["request_id"] = record.request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
