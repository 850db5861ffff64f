"""A gateway's Prometheus metrics. They have their own registry: importing this module registers nothing globally."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from contract.worker_registry import WorkerOffer
from gateway.http.security_log import Kind


class _EventsWritten(Collector):
    def __init__(self, written: Callable[[], Mapping[str, int]]) -> None:
        self._written = written

    def collect(self) -> Iterator[Metric]:
        text = "Events encoded: once per stream and dialect, not per viewer; again if read back from Redis."
        family = CounterMetricFamily("manycast_events_written", text, labels=["dialect"])
        for dialect, count in self._written().items():
            family.add_metric([dialect], count)
        yield family


class _Workers(Collector):
    """What all workers have announced. Absent while it is unknown: an autoscaler would stop workers if it read a 0."""

    def __init__(self) -> None:
        self.offers: Sequence[WorkerOffer] | None = None

    def collect(self) -> Iterator[Metric]:
        if (offers := self.offers) is None:
            return
        runs, slots = sum(offer.runs for offer in offers), sum(offer.slots for offer in offers)
        yield GaugeMetricFamily("manycast_workers", "Live workers. All gateways count the same ones.", len(offers))
        yield GaugeMetricFamily("manycast_worker_runs", "Runs that the live workers run now.", runs)
        yield GaugeMetricFamily("manycast_worker_slots", "Runs that the live workers can run at once.", slots)


class Metrics:
    """Counters are increased when something happens; gauges are computed when Prometheus reads them."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(
        self,
        viewers: Callable[[], int],
        feeds: Callable[[], int],
        written: Callable[[], Mapping[str, int]],
        buffered_bytes: Callable[[], int],
    ) -> None:
        self._registry = CollectorRegistry()
        self.runs_started = Counter("manycast_runs_started", "Runs accepted by this gateway.", registry=self._registry)
        Gauge("manycast_viewers", "Viewers connected to this gateway.", registry=self._registry).set_function(viewers)
        Gauge("manycast_feeds", "Streams this gateway has in memory.", registry=self._registry).set_function(feeds)
        text = "What this gateway keeps in memory of streams and completions; MANYCAST_BUFFER_BUDGET_BYTES bounds it."
        Gauge("manycast_buffer_bytes", text, registry=self._registry).set_function(buffered_bytes)
        self._registry.register(_EventsWritten(written))
        self._workers = _Workers()
        self._registry.register(self._workers)
        text = "Decisions about access, by kind: the lines of the security log, and those that it left out."
        self._decisions = Counter("manycast_security_decisions", text, ["kind"], registry=self._registry)
        for kind in Kind:
            self._decisions.labels(kind)

    def count_decision(self, kind: Kind) -> None:
        self._decisions.labels(kind).inc()

    def render(self, offers: Sequence[WorkerOffer] | None) -> bytes:
        """Prometheus text. `offers`: of the live workers, or None if they could not be read."""
        self._workers.offers = offers
        return generate_latest(self._registry)
