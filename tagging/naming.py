"""What rules name by id (tags, stages, members, …), read for all rules of a page at once instead of for each."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet

from conditions import registry
from tagging.models import Rule

Row = TypeVar("Row", bound=Model)
Result = TypeVar("Result")


class _Page:
    """numbers: every whole number that stands in a trigger or an action of the page's rules, ids among them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.numbers = {number for rule in rules for part in (rule.trigger, rule.actions) for number in _numbers(part)}
        self.known: dict[str, Any] = {}


_page: ContextVar[_Page | None] = ContextVar("rules_of_a_page", default=None)


def _numbers(part: Any) -> Iterator[int]:
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _numbers(one)
    elif isinstance(part, int) and 0 < part < 2**63:
        yield part


@contextmanager
def read_together(rules: Sequence[Rule]) -> Iterator[None]:
    """Within it, by_id and once ask the database once for each kind, and conditions once for each list of options, however many rules
    speak of them. For these rules only: what others name may be missing."""
    token = _page.set(_Page(rules))
    try:
        with registry.asked_once({}):
            yield
    finally:
        _page.reset(token)


def by_id(kind: str, rows: QuerySet[Row], ids: Collection[Any]) -> dict[int, Row]:
    """Id → row, of at least these ids. kind: which rows these are; one kind is always asked with the same query."""
    page = _page.get()
    wanted = [pk for pk in ids if isinstance(pk, int)] if page is None else page.numbers
    return once(kind, lambda: rows.in_bulk(list(wanted)))


def once(kind: str, read: Callable[[], Result]) -> Result:
    """What read() answers, asked once for a page. kind: tells it from other answers."""
    page = _page.get()
    if page is None:
        return read()
    if kind not in page.known:
        page.known[kind] = read()
    return cast("Result", page.known[kind])
