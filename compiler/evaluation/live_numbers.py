"""Where live numbers are read: at a gateway's metrics, or in its traffic log."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from compiler.errors import UserMistake
from compiler.evaluation.live import Side, Times
from compiler.gateway_metrics import Series, by_release, labelled
from programs.proportions import Counted

if TYPE_CHECKING:
    from compiler.traffic.log import Ending

_SECONDS = 10.0  # that a scrape may take
_UNPARSEABLE = "program_output_invalid"


class Pair(NamedTuple):
    """The full names of two releases of one program."""

    a: str
    b: str


def by_metrics(url: str, pair: Pair, seconds: float | None = None) -> tuple[Side, Side]:
    """What a gateway counted of both since it began, or within the next seconds.

    Raises:
        UserMistake: nothing answers there, or it is no gateway.
    """
    first = _scrape(url, pair) if seconds is not None else None
    if seconds is not None:
        time.sleep(seconds)
    last = _scrape(url, pair)
    a, b = (
        _side(name, series if first is None else _since(first[name], series)) for name, series in last.items()
    )
    return a, b


def _since(first: Series, last: Series) -> Series:
    return {key: value - first.get(key, 0.0) for key, value in last.items()}


def _scrape(url: str, pair: Pair) -> dict[str, Series]:
    families = text_string_to_metric_families(_text(url))
    found = by_release(sample for family in families for sample in family.samples)
    return {name: found.get(name, {}) for name in pair}


def _text(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise UserMistake(f"--metrics {url!r} is no URL; write for example http://127.0.0.1:9091/metrics")
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as reply:
            text: str = reply.read().decode()
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UserMistake(
            f"no gateway's metrics can be read at {url}: {reason}; --metrics names another address"
        ) from error
    if "gateway_requests_total" not in text:
        raise UserMistake(f"what answers at {url} is no gateway, or one that was asked nothing so far")
    return text


def _side(release: str, series: Series) -> Side:
    statuses = {int(label): int(n) for label, n in labelled(series, "gateway_requests_total").items()}
    # What the client got wrong or left says nothing of the release.
    broken = sum(n for status, n in statuses.items() if status >= 500)
    n = statuses.get(200, 0) + broken
    names = ("gateway_parse_failures_total", "gateway_check_failures_total")
    unparseable = min(broken, int(sum(series.get((name, ""), 0.0) for name in names)))
    upstream = series.get(("gateway_upstream_seconds_count", ""), 0.0)
    priced = upstream - series.get(("gateway_cost_unknown_total", ""), 0.0)
    usd = series.get(("gateway_cost_usd_total", ""))
    return Side(
        release,
        Counted(broken - unparseable, n),
        Counted(unparseable, n),
        Times(_bins(series), binned=True),
        usd / priced if usd is not None and priced > 0 else None,
    )


def _bins(series: Series) -> dict[float, int]:
    """How many are in each bucket; Prometheus counts all that are below each bound."""
    buckets = labelled(series, "gateway_request_seconds_bucket")
    below = sorted((float(bound), int(value)) for bound, value in buckets.items())
    before, bins = 0, {}
    for bound, count in below:
        bins[bound] = count - before
        before = count
    return bins


def by_traffic(database: str, pair: Pair, since: float | None = None) -> tuple[Side, Side]:
    """What the traffic log has of both: only of callers who agreed to be in it.

    Raises:
        TrafficUnreadable: there is none.
    """
    from compiler.traffic.log import TrafficLog

    endings: dict[str, list[Ending]] = {release: [] for release in pair}
    for ending in TrafficLog(database).endings(pair, since):
        endings[ending.release].append(ending)
    a, b = (_logged(release, found) for release, found in endings.items())
    return a, b


def _logged(release: str, endings: Sequence[Ending]) -> Side:
    judged = [ending for ending in endings if ending.status == 200 or ending.status >= 500]
    n = len(judged)
    return Side(
        release,
        Counted(sum(ending.status >= 500 and ending.error != _UNPARSEABLE for ending in judged), n),
        Counted(sum(ending.error == _UNPARSEABLE for ending in judged), n),
        Times(Counter(ending.seconds for ending in judged)),
        usd=[ending.usd for ending in judged if ending.usd is not None],
        scores=[ending.score for ending in endings if ending.score is not None],
    )
