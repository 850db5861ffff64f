"""What a log may say of something that opens a door to whoever knows it. Pure: no I/O."""

SHOWN_CHARS = 10


def abbreviate(stream_id: str) -> str:
    """Enough of an id to find all lines of one run, in gateways and workers alike; too little to watch it by."""
    return f"{stream_id[:SHOWN_CHARS]}…" if len(stream_id) > SHOWN_CHARS else stream_id
