"""Everything that Manycast keeps in Redis or sends through it: keys, scripts and data formats.

Also what both services share around it: connections, errors, limits, settings, logging and backoff. Only this package
talks to Redis, so a change of a key or a format is a change of this package alone.
"""
