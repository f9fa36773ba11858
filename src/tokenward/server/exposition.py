"""The numbers in the words of Prometheus.

Law of this module: it is imported when somebody asks for the first time, in a thread, because the
library it needs takes longer to read than a token to make.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.registry import Collector

from tokenward import __version__
from tokenward.server.latency import ENDS
from tokenward.server.metrics import BUCKETS, Numbers

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0

_UPSTREAM = {
    "asked": "Questions sent to an upstream, every try counted.",
    "fetched": "Tokens that an upstream gave.",
    "served": "Tokens of an upstream handed out.",
    "avoided": "Tokens handed out without a question of their own.",
    "shared": "Tokens that another process had asked for.",
    "errors": "Questions that brought no token after the last try.",
    "refused": "Questions that were not asked, because the upstream is left alone.",
}


def exposed(numbers: Numbers) -> bytes:
    """All of it as text (Prometheus' exposition format)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(numbers))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        numbers = self._numbers
        yield InfoMetricFamily("tokenward_build", "Which this is.", {"version": __version__})
        labels = ["kind", "grant", "client", "token"]
        issued = CounterMetricFamily(
            "tokenward_tokens_issued", "Tokens handed out.", labels=labels[1:]
        )
        answered = CounterMetricFamily(
            "tokenward_questions_answered",
            "Audited requests that were granted, tokens and others.",
            labels=["kind", "client"],
        )
        refused = CounterMetricFamily(
            "tokenward_requests_refused", "Audited requests refused.", labels=[*labels, "error"]
        )
        others: dict[tuple[str, str], float] = {}
        for kind, grant, client, token, error, count in numbers["events"]:
            if error:
                refused.add_metric([kind, grant, client, token, error], count)
            elif token:
                issued.add_metric([grant, client, token], count)
            else:
                others[kind, client] = others.get((kind, client), 0.0) + count
        for key, count in others.items():
            answered.add_metric(list(key), count)
        yield issued
        yield answered
        yield refused
        yield from self._requests()
        yield from self._upstreams()
        keys = GaugeMetricFamily(
            "tokenward_signing_key_age_seconds",
            "Since when the current key of an issuer signs.",
            labels=["issuer"],
        )
        for issuer, since in numbers.get("keys", {}).items():
            keys.add_metric([issuer], max(0.0, time.time() - since))
        yield keys

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tokenward_http_requests",
            "Requests answered.",
            labels=["route", "method", "status"],
        )
        for route, method, status, count in self._numbers["requests"]:
            requests.add_metric([route, method, status], count)
        yield requests
        yield _histogram(
            "tokenward_http_request_seconds",
            "From when a request was there until its answer was written.",
            "route",
            BUCKETS,
            self._numbers["seconds"],
        )

    def _upstreams(self) -> Iterator[Metric]:
        for what, words in _UPSTREAM.items():
            family = CounterMetricFamily(f"tokenward_upstream_{what}", words, labels=["token"])
            for token, counts in self._numbers.get("upstreams", {}).items():
                family.add_metric([token], counts.get(what, 0))
            yield family
        yield _histogram(
            "tokenward_upstream_seconds",
            "From when an upstream was asked until it was clear what came of it.",
            "token",
            ENDS,
            self._numbers.get("waited", {}),
        )


def _histogram(
    name: str, words: str, label: str, ends: Sequence[float], spans: Mapping[str, list[float]]
) -> Metric:
    """Of spans as they are counted: how many ended in each step and beyond, then the sum."""
    family = HistogramMetricFamily(name, words, labels=[label])
    for value, (*counts, total) in spans.items():
        grown, buckets = 0.0, []
        for end, count in zip((*map(str, ends), "+Inf"), counts, strict=True):
            grown += count
            buckets.append((end, grown))
        if grown:
            family.add_metric([value], buckets=buckets, sum_value=total)
    return family
