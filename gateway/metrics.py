"""The door to prometheus_client: what a gateway counts. A registry of its own, so that nothing is alive at import."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """Counters are advanced where things happen, gauges are read when scraped."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, viewers: Callable[[], int], feeds: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.runs_started = Counter("manycast_runs_started", "Runs accepted by this gateway.", registry=self._registry)
        Gauge("manycast_viewers", "Viewers connected to this gateway.", registry=self._registry).set_function(viewers)
        Gauge("manycast_feeds", "Streams this gateway has in memory.", registry=self._registry).set_function(feeds)

    def render(self) -> bytes:
        return generate_latest(self._registry)
