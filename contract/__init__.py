"""Everything that Manycast keeps in Redis or sends through it: keys, scripts and data formats.

Also what several packages share around it: connections, errors, limits, settings, logging, backoff and the reader of
server-sent events. Only this package talks to Redis, so a change of a key or a format changes this package alone.
"""
