"""The simple builder: 谁、买过什么、多久没买. Three sentence rows as a tree, and back when a tree is no more than that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from conditions import registry
from conditions.registry import Asker, Option
from conditions.schema import problems_of

STAGE, TAG, ADDED, ORDER, CATEGORY = "contact.stage", "tag", "contact.added_at", "order", "order.category"
LINE = "order.line"
PRODUCT, STORE = (LINE, "product"), (ORDER, "store")  # a field and the trait that narrows it


@dataclass
class Sentences:
    """What the three rows say; None or empty: nothing."""

    stages: list[Any] = field(default_factory=list)
    tags: list[Any] = field(default_factory=list)
    added_days: int | None = None
    bought: str = ""  # "", times, category, product, store, never
    times: int | None = None
    categories: list[Any] = field(default_factory=list)
    products: list[Any] = field(default_factory=list)
    stores: list[Any] = field(default_factory=list)
    bought_days: int | None = None
    idle_from: int | None = None
    idle_to: int | None = None

    def tree(self) -> dict[str, Any]:
        """The tree that says the same."""
        return {"version": 1, "root": {"all": [*self._who(), *self._bought(), *self._idle()]}}

    def _who(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self.stages:
            found.append({"field": STAGE, "op": "in", "value": self.stages})
        if self.tags:
            found.append({"field": TAG, "op": "any", "value": self.tags})
        if self.added_days:
            found.append({"field": ADDED, "op": "within", "window": {"days": self.added_days}})
        return found

    def _bought(self) -> list[dict[str, Any]]:
        window = {"window": {"days": self.bought_days}} if self.bought_days else {}
        if self.bought == "times":
            return [{"field": ORDER, "op": "count_at_least", "value": self.times or 1, **window}]
        if self.bought == "category" and self.categories:
            return [{"field": CATEGORY, "op": "any", "value": self.categories, **window}]
        if self.bought == "product" and self.products:
            return [_once(PRODUCT, self.products, window)]
        if self.bought == "store" and self.stores:
            return [_once(STORE, self.stores, window)]
        if self.bought == "never":
            return [{"field": ORDER, "op": "never", **window}]
        return []

    def _idle(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self.idle_from:
            found.append({"field": ORDER, "op": "last_older_than", "value": self.idle_from})
        if self.idle_to:
            found.append({"not": {"field": ORDER, "op": "last_older_than", "value": self.idle_to}})
            if not self.idle_from:
                found.append({"field": ORDER, "op": "count_at_least", "value": 1})
        return found


def _once(narrowed: tuple[str, str], values: list[Any], window: dict[str, Any]) -> dict[str, Any]:
    """At least one row with one of the values."""
    key, trait = narrowed
    return {"field": key, "op": "count_at_least", "value": 1, **window, "where": {trait: values}}


def from_post(post: QueryDict) -> Sentences:
    """The rows as posted."""
    return Sentences(
        stages=_chosen(STAGE, post.getlist("stages")),
        tags=_chosen(TAG, post.getlist("tags")),
        added_days=_days(post.get("added_days", "")),
        bought=post.get("bought", ""),
        times=_days(post.get("times", "")),
        categories=_chosen(CATEGORY, post.getlist("categories")),
        products=_chosen_traits(PRODUCT, post.getlist("products")),
        stores=_chosen_traits(STORE, post.getlist("stores")),
        bought_days=_days(post.get("bought_days", "")),
        idle_from=_days(post.get("idle_from", "")),
        idle_to=_days(post.get("idle_to", "")),
    )


def from_tree(tree: dict[str, Any]) -> Sentences | None:
    """The rows that say exactly this, or None: then only the tree editor can show it."""
    parts = tree["root"].get("all")
    if parts is None:
        return None
    found = Sentences()
    for part in parts:
        _read(found, part)
    return found if found.tree() == tree else None


def _read(found: Sentences, part: dict[str, Any]) -> None:
    """Take up one part; what does not fit shows when the result is compared with the tree."""
    days = (part.get("window") or {}).get("days")
    match part.get("field"), part.get("op"):
        case "contact.stage", "in":
            found.stages = part["value"]
        case "tag", "any":
            found.tags = part["value"]
        case "contact.added_at", "within":
            found.added_days = days
        case "order.line", "count_at_least" if "product" in (part.get("where") or {}):
            found.bought, found.products, found.bought_days = "product", part["where"]["product"], days
        case "order", "count_at_least" if "store" in (part.get("where") or {}):
            found.bought, found.stores, found.bought_days = "store", part["where"]["store"], days
        case "order", "count_at_least":
            found.bought, found.times, found.bought_days = "times", part["value"], days
        case "order", "never":
            found.bought, found.bought_days = "never", days
        case "order.category", "any":
            found.bought, found.categories, found.bought_days = "category", part["value"], days
        case "order", "last_older_than":
            found.idle_from = part["value"]
        case None, None if isinstance(part.get("not"), dict):
            found.idle_to = part["not"].get("value") if isinstance(part["not"].get("value"), int) else None


def _chosen(key: str, values: list[str]) -> list[Any]:
    known = registry.find(key) if values else None
    return _of(known.options() if known and known.options else (), values)


def _chosen_traits(narrowed: tuple[str, str], values: list[str]) -> list[Any]:
    known = registry.find(narrowed[0]) if values else None
    trait = known.trait(narrowed[1]) if known else None
    return _of(trait.options() if trait else (), values)


def _of(options: Sequence[Option], values: list[str]) -> list[Any]:
    known = {str(option.value): option.value for option in options}
    return [known[value] for value in values if value in known]


def _days(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 6 and int(text) > 0 else None


# --- Ready-made -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadyMade:
    """A segment to start from."""

    key: str
    name: str | Promise
    text: str | Promise
    make: Callable[[], dict[str, Any]]


def _bought(**values: Any) -> Callable[[], dict[str, Any]]:
    return lambda: Sentences(**values).tree()


def _root(*parts: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: {"version": 1, "root": {"all": list(parts)}}


READY_MADE = (
    ReadyMade("new_7", _("近7天新加"), _("刚认识,先打招呼"), _bought(added_days=7)),
    ReadyMade("new_30_unbought", _("近30天新加未购"), _("新客首单机会"), _bought(added_days=30, bought="never")),
    ReadyMade("idle_60_120", _("60–120天未购老客"), _("还记得我们的老客"), _bought(idle_from=60, idle_to=120)),
    ReadyMade("idle_120", _("超过120天未购"), _("需要一个回来的理由"), _bought(idle_from=120)),
    ReadyMade(
        "bought_30", _("近30天买过"), _("适合使用指导和复购提醒"), _bought(bought="times", times=1, bought_days=30)
    ),
    ReadyMade("twice_90", _("90天内买过两次以上"), _("高频老客"), _bought(bought="times", times=2, bought_days=90)),
    ReadyMade(
        "spent_800",
        _("一年内消费满800元"),
        _("高客单老客"),
        _root({"field": ORDER, "op": "sum_at_least", "value": 80000, "window": {"days": 365}}),
    ),
    ReadyMade(
        "birthday_30",
        _("30天内生日"),
        _("提前准备生日关怀"),
        _root({"field": "birthday", "op": "upcoming", "value": 30}),
    ),
)


def available(asker: Asker) -> list[ReadyMade]:
    """Those whose fields exist, are connected, and are hers to ask about."""
    return [one for one in READY_MADE if not problems_of(one.make(), asker)]
