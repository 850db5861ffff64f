"""Log set-up of gateway and worker. Logs shorten stream ids: anyone with a full id could watch the stream.

A record is one line, its traceback apart, however much a provider or a caller wrote of it: nobody can forge a line.
"""

import logging
import re

from contract.printable import escape, shorten
from contract.topology import hide_credentials

SHOWN_CHARS = 10
MESSAGE_LIMIT_CHARS = 4_000
TRACEBACK_LIMIT_CHARS = 32_000
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

# The ids that contract/stream_id.py makes. An id may follow an escape: `\ns_…` in a repr, `%2Fs_…` in a URL. It is also
# part of the ids of responses and their items: `resp_s_…`, `msg_s_…_1_0`.
_STREAM_ID = re.compile(
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})"
    r"|(?<=resp_)|(?<=msg_)|(?<=rs_)|(?<=fc_)|(?<=fco_)|(?<=item_))[ps]_[A-Za-z0-9_-]{18,62}"
)

_formatter = logging.Formatter()


def abbreviate(stream_id: str) -> str:
    """The beginning of an id: enough to find all log lines of a run, too little to watch it."""
    return f"{stream_id[:SHOWN_CHARS]}…" if len(stream_id) > SHOWN_CHARS else stream_id


def redact(text: str) -> str:
    """`text` with every stream id in it abbreviated, and without the credentials of the addresses of Redis."""
    return _STREAM_ID.sub(lambda match: abbreviate(match[0]), hide_credentials(text))


class SafeTextFilter(logging.Filter):
    """Redacts the message, the arguments, the traceback and the stack of a record; escapes and shortens what others may
    have written there. The lines of a traceback are indented.

    Add it to a handler: a filter of a logger does not see the records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # logging itself would print the arguments, ids included
            message = f"a log line that cannot be formatted: {record.msg!r} with {record.args!r}"
        record.msg, record.args = escape(shorten(redact(message), MESSAGE_LIMIT_CHARS)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _indent(redact(record.exc_text))
        if record.stack_info:
            record.stack_info = _indent(redact(record.stack_info))
        return True


def _indent(text: str) -> str:
    """The lines of a traceback. Its end, which names the error, is kept if it is too long."""
    text = text if len(text) <= TRACEBACK_LIMIT_CHARS else f"…{text[-TRACEBACK_LIMIT_CHARS:]}"
    return "\n".join(f"  {escape(line)}" for line in text.split("\n"))


def configure_logging(level: str) -> None:
    """Logs to standard error from `level` on (`debug`, `info`, `warning` or `error`), with stream ids abbreviated."""
    handler = logging.StreamHandler()
    handler.addFilter(SafeTextFilter())
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT, handlers=[handler])
