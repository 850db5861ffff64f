"""The operating system's limit on open files, of which each connection is one."""

import logging
import resource

OTHER_FILES = 128
"""Open files other than the connections of clients: calls to Redis, listeners, pipes."""

logger = logging.getLogger(__name__)


def fit_connections(connections: int) -> int:
    """Raises this process's limit on open files as far as the system allows.

    Returns how many of `connections` fit within it, at least 1.
    """
    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # macOS refuses more than the kernel's own limit, which it does not show as the hard limit.
        wanted = soft
    fitting = max(1, min(connections, wanted - OTHER_FILES))
    if fitting < connections:
        logger.log(
            # A little less than the default limit is usual, and no reason for a warning.
            logging.WARNING if fitting < connections / 2 else logging.INFO,
            "accepting %d connections instead of MANYCAST_CONNECTION_LIMIT=%d: this process may open %d files "
            "(raise `ulimit -n`)",
            fitting,
            connections,
            wanted,
        )
    return fitting
