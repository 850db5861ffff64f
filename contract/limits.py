"""Limits that gateway and worker share; units come last in the names. Pure: no I/O.

A limit that concerns only one service is a setting of that service.
"""

BATCH_LIMIT_BYTES = 1 << 20
"""The size of the events in one append. An event that is larger is appended alone."""

BATCH_LIMIT_EVENTS = 256

PAGE_LIMIT_EVENTS = 512
"""The number of entries that one read of a log asks for."""

IDEMPOTENCY_KEY_LIMIT_CHARS = 255

QUESTION_LIMIT_CHARS = 4000
"""How much of the user's last message is kept with its answer."""
