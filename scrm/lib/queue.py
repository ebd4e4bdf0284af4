"""Sending Celery messages without importing tasks: by name, and never failing the caller."""

import logging
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError
from kombu.utils.scheduling import round_robin_cycle
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

FIRST = "welcome"  # its codes live 20 seconds


class WelcomeFirst(round_robin_cycle):  # type: ignore[misc]  # kombu is untyped
    """The order in which a worker's queues are asked for the next message: the welcome before all, the others in turn."""

    def consume(self, n: int) -> list[str]:
        """Names of n queues, the first to be asked first."""
        return sorted(super().consume(n), key=lambda name: name != FIRST)


def send(name: str, *, queue: str, kwargs: dict[str, Any]) -> bool:
    """Publish a task by name; False when the broker did not take it. The row it is about stays due."""
    try:
        current_app.send_task(name, queue=queue, kwargs=kwargs, retry=False, ignore_result=True)
    except (BrokerError, RedisError, OSError):
        logger.warning("queue unreachable, %s stays due", name)
        return False
    return True
