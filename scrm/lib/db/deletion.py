"""What happens to rows that point at a deleted one, where Django's own words do not fit."""

from typing import Any

from django.db.models.deletion import Collector


def cascade_rows(collector: Collector, field: Any, sub_objs: Any, using: str) -> None:
    """on_delete for a nullable key that a check wants filled: the rows go first, without becoming null on the way."""
    collector.collect(sub_objs, source=field.remote_field.model, source_attr=field.name, nullable=False)
