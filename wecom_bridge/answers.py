"""What is kept of WeCom's answers. An app that knows ids which must not be kept puts marks in their place, before the row is written."""

from collections.abc import Callable, Mapping
from typing import Any

Redactor = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_redactors: list[Redactor] = []


def on_keep(redactor: Redactor) -> None:
    """Let `redactor` look through an answer once the app it was for has heard it. It must be cheap where there is nothing to hide."""
    if redactor not in _redactors:
        _redactors.append(redactor)


def kept(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as it may be kept."""
    for redactor in _redactors if answer else ():
        answer = redactor(answer)
    return dict(answer)
