"""Condition fields about people, their relations, groups and facts. What they are stands in contacts.conditionfields."""

from conditions.registry import Family, register, register_family
from contacts.conditionfields import drawn, people, rows
from contacts.customconditions import custom_field, custom_fields, yearly_field, yearly_fields


def fill() -> None:
    """Register them, in AppConfig.ready()."""
    register(*people.FIELDS, *rows.FIELDS, *drawn.FIELDS)
    register_family(Family("custom.", custom_field, custom_fields))
    register_family(Family("yearly.", yearly_field, yearly_fields))
    register_family(Family("event.", rows.event_field, rows.event_fields))
