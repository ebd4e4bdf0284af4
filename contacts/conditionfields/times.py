"""Days of the merchant's calendar, in SQL."""

from typing import Any

from django.db.models import DateTimeField, Func, Value

from conditions import windows


def midnight(day: Any) -> Any:
    """The instant at which a day begins in the merchant's zone. day: an expression that can be cast to a date."""
    local = Func(day, template="((%(expressions)s)::date::timestamp)", output_field=DateTimeField())
    return Func(Value(str(windows.zone())), local, function="timezone", output_field=DateTimeField())
