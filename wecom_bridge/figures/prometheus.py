"""The figures of every merchant in the text form that Prometheus reads."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import Error
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scrm.lib import clock
from tenants.context import TenantUnavailable, public_scope, tenant_scope
from tenants.models import CallbackRoute, Tenant, TenantState
from wecom_bridge.figures.sources import Sample, all_sources

logger = logging.getLogger(__name__)

PREFIX = "scrm_"


class _Tenants(Collector):
    """Reads when scraped. A merchant whose figures cannot be read is left out, the others are not."""

    def __init__(self, slug: str) -> None:
        self.slug = slug

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Any] = {}
        for tenant in _tenants(self.slug):
            for sample in _samples(tenant):
                _add(families, tenant.slug, sample)
        return [family for family, _names in families.values()]


def render(slug: str = "") -> bytes:
    """All active merchants with a callback address, or one. UTF-8 text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Tenants(slug))
    return generate_latest(registry)


def _tenants(slug: str) -> list[Tenant]:
    with public_scope():
        connected = CallbackRoute.objects.filter(is_active=True).values("tenant")
        rows = Tenant.objects.filter(state=TenantState.ACTIVE, pk__in=connected).order_by("slug")
        return list(rows.filter(slug=slug) if slug else rows)


def _samples(tenant: Tenant) -> Iterator[Sample]:
    now = clock.wall()
    try:
        with tenant_scope(tenant):
            found = [sample for source in all_sources() for sample in source.samples(now)]
    except (Error, TenantUnavailable):
        logger.exception("figures of tenant %s cannot be read", tenant.pk)
        return
    yield from found


def _add(families: dict[str, Any], slug: str, sample: Sample) -> None:
    """One family per name. Its label names are those of its first sample, and later ones are put in their order."""
    if sample.name not in families:
        kind = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
        name = PREFIX + sample.name.removesuffix("_total")
        families[sample.name] = kind(name, sample.help, labels=["tenant", *sample.labels]), tuple(sample.labels)
    family, names = families[sample.name]
    if sample.labels.keys() != set(names):
        logger.error("a sample of %s is left out: its labels are %s, not %s", sample.name, tuple(sample.labels), names)
        return
    family.add_metric([slug, *(sample.labels[name] for name in names)], sample.value)
