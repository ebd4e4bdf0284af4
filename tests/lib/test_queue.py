"""The order in which a worker asks its queues for work."""

from django.conf import settings
from kombu.utils.scheduling import cycle_by_name


def test_the_welcome_comes_before_all_and_the_others_in_turn():
    cycle = cycle_by_name(settings.CELERY_BROKER_TRANSPORT_OPTIONS["queue_order_strategy"])()
    cycle.update({"inbound", "welcome", "bulk"})
    first = cycle.consume(3)
    assert first[0] == "welcome"
    cycle.rotate("welcome")
    assert cycle.consume(3) == first
    cycle.rotate(first[1])
    assert cycle.consume(3) == ["welcome", first[2], first[1]]
