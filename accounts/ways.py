"""Other ways to log in than by password. Apps above register theirs in AppConfig.ready(); the log-in page offers them.

ways.register(wecom_ways)
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import Promise


@dataclass(frozen=True)
class Way:
    """A button of the log-in page. at_once: a page that sent its reader to the log-in goes on without a press, if it is the only one."""

    label: str | Promise
    url: str
    icon: str
    at_once: bool = False


# (request, path to go on to) → the ways this browser may take.
Ways = Callable[[HttpRequest, str], list[Way]]
_ways: list[Ways] = []


def register(ways: Ways) -> None:
    """Add ways. Twice the same changes nothing."""
    if ways not in _ways:
        _ways.append(ways)


def ways_for(request: HttpRequest, go_on: str) -> list[Way]:
    """What the log-in page of this host offers besides the password."""
    return [way for ways in _ways for way in ways(request, go_on)]
