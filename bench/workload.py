"""The workloads: how many viewers, how many events, how fast. No I/O."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Workload:
    """`viewers`: per stream. `rate`: events per second and stream; 0 means as fast as possible. `stalled`: so many
    viewers read nothing until the others have received everything. `preload`: events published before the first viewer
    joins. `together`: how many viewers connect at once."""

    name: str
    title: str
    servers: tuple[str, ...]
    streams: int = 1
    viewers: int = 1000
    events: int = 250
    rate: float = 50
    payload: int = 225
    stalled: int = 0
    preload: int = 0
    in_flight: bool = False
    together: int = 200
    is_long: bool = False
    """Runs only if the command line names it."""

    def arguments(self) -> list[str]:
        """The arguments of the load driver for this workload."""
        numbers = ("streams", "viewers", "events", "rate", "payload", "stalled", "preload", "together")
        words = [word for name in numbers for word in (f"--{name}", str(getattr(self, name)))]
        return [*words, "--in-flight"] if self.in_flight else words


ALL = ("manycast", "sse", "nchan", "limit", "naive")
HISTORY = ("manycast", "sse", "nchan", "limit")
FAST = ("manycast", "limit", "nchan")

_LATE = Workload("late", "500 join a finished stream of 2,000", HISTORY, events=2000, preload=2000)
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("crowd", "1,000 viewers, one stream, 50 ev/s", HISTORY),
        Workload("room", "100 viewers, one stream, 50 ev/s", ALL, viewers=100),
        Workload("streams", "200 streams x 5 viewers, 50 ev/s each", FAST, streams=200, viewers=5, events=150),
        Workload("flood", "1,000 viewers, as fast as possible", FAST, events=1000, rate=0),
        Workload("stadium", "5,000 viewers, one stream, 50 ev/s", FAST, viewers=5000),
        replace(_LATE, viewers=500, together=500),
        Workload(
            "in-flight", "500 join a stream in flight, 200 ev/s", FAST, 1, 500, 2000, 200, 225, 0, 1000, True, 500
        ),
        Workload("stalled", "50 of 500 read nothing, 4 kB, 100 ev/s", FAST, 1, 500, 400, 100, 4000, 50),
        Workload("mute", "200 of 400 read nothing, 2,000 chunks", FAST, 1, 400, 2000, 100, 225, 200, is_long=True),
        Workload("idle", "10,000 viewers, nothing happens", FAST, viewers=10000, events=0),
    )
}
