"""Limits that gateway and worker must hold together; units last in the names. Pure: no I/O.

A limit that only one side obeys is a setting of that side.
"""

BATCH_LIMIT_BYTES = 1 << 20
"""Events of one append, beyond which the next ones wait for the next append. One event may be larger by itself."""

BATCH_LIMIT_EVENTS = 256

PAGE_LIMIT_EVENTS = 512
"""Entries one read of a log asks for."""

IDEMPOTENCY_KEY_LIMIT_CHARS = 255
