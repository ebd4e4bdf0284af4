"""Inbound batches about tags, at layer order 300: after contacts, before campaigns. Each runs inside the bridge's transaction."""

from tagging.services.mirror import apply_people_tags, apply_tags
from wecom_bridge.contracts import on_batch

ORDER = 300


def register() -> None:
    """Tell the bridge who listens."""
    on_batch("tags", order=ORDER, name="tagging.tags", handler=apply_tags)
    on_batch("people", order=ORDER, name="tagging.people", handler=apply_people_tags)
