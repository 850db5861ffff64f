"""The keys that tests look at: those of a deployment with the usual prefix and one partition."""

from contract.keys import KeySpace, StreamKeys

KEYS = KeySpace()
QUEUE = KEYS.queue(0)
JOBS, TURNS, RECENT, ALARMS = QUEUE.jobs, QUEUE.turns, QUEUE.recent, QUEUE.alarms
WORKERS, OFFERS, SIGNING, CONTROL = KEYS.workers, KEYS.offers, KEYS.signing, KEYS.control
backlog_key = QUEUE.backlog
bucket_key = KEYS.bucket


def stream_keys(stream_id: str) -> StreamKeys:
    return KEYS.stream(stream_id)
