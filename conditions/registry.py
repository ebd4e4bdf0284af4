"""Fields: what conditions can speak about. Each app registers its own in AppConfig.ready().

One value per person (TEXT NUMBER CHOICE FLAG MOMENT ANNIVERSARY): give `expression`, over the queryset of root contacts.

    register(Field("contact.stage", _("生命周期阶段"), _("客户"), ValueType.CHOICE,
                   expression=lambda now: F("stage_id"), read=read_stages, options=stage_options))

Rows about a person (SET, FACTS, SEQUENCE): give `rows`, a queryset with a path `person` to Contact, `value` (SET, SEQUENCE) or `amount` (FACTS,
optional) and `at`, the instant of the row. Rows of merged branches count for their root; the compiler sees to it.

    register(Field("order", _("订单"), _("消费"), ValueType.FACTS, rows=lambda: Order.objects.filter(status="paid"),
                   at="ordered_at", amount=F("total_minor") - F("refunded_minor"), read=read_orders))

`read` is the reference reader: plain Python over loaded rows, given root ids, sharing nothing with `expression` or `rows`.
It returns {root id: value}; a person without a value may be left out. For SET the value is a list of (option value, instant or
None), for SEQUENCE of (option value, instant), for FACTS of (instant, amount), each including the branches' rows (conditions.people.branches).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, cast

from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from accounts.scope import DataScope
from conditions.operators import NEEDS_AMOUNT, OPERATORS, Operator, ValueType, operator_of
from conditions.tree import Leaf

Text = str | Promise
Reader = Callable[[Sequence[int]], Mapping[int, Any]]

ROWS = frozenset({ValueType.SET, ValueType.FACTS, ValueType.SEQUENCE})
_COST = {ValueType.SET: 2, ValueType.FACTS: 4, ValueType.SEQUENCE: 6}


@dataclass(frozen=True)
class Option:
    """A value that exists: what the tree stores (an id or a key), and what people read. `group`: a heading, e.g. the tag group."""

    value: int | str
    label: Text
    group: Text = ""


@dataclass(frozen=True)
class Asker:
    """Who builds a tree: the permissions and the roles (ids) that she holds over everybody whom she sees."""

    permissions: frozenset[str]
    roles: frozenset[int]


@dataclass(frozen=True)
class Trait:
    """What else is known of each row of a field, to narrow its rows by: `where: {"origin": ["rule"]}`. path: from the row's model.
    permissions, offered: as a field's. keeps(values): instead of a path, where a row has many of them: a join would count it twice."""

    key: str
    label: Text
    path: str
    options: Callable[[], Sequence[Option]]
    permissions: tuple[str, ...] = ()
    offered: Callable[[DataScope], QuerySet[Any]] | None = None
    dies_with_options: bool = False
    keeps: Callable[[Sequence[Any]], Q] | None = None

    def kept(self, values: Sequence[Any]) -> Q:
        """The rows that have one of the values."""
        return self.keeps(values) if self.keeps else Q(**{f"{self.path}__in": values})


@dataclass(frozen=True)
class Field:
    """See the module's text. unavailable(): "" or the sentence why its source is not connected (the builder greys it out).

    dirty_keys: which marks change its answer, default its own key; a function of the leaf where the leaf decides.
    boundary(now): for a value that changes by time alone, the next instant after now at which it may (an expression, null: never).
    operators: keys of a subset of the type's operators. unit: shown after a number. times_label: the counter of FACTS (次, 单).
    narrow(leaf): what everybody for whom a positive leaf holds also satisfies, and an index finds; it changes no answer.
    dies_with_options: a statement that names an option that is gone means nothing any more, and holds for nobody (schema.is_sound).
    permissions: all of them are needed to ask about it; see_roles: and one of these roles, where there are any. Whoever may not see
    a value could find it out by asking. show(value): its value as people may read it, where that is not the whole of it.
    source(root_id, leaf): in words, where what a leaf asks of a person came from (by whom, by which rule, since when); "" for nothing.
    offered(scope): a query of the options' values that somebody sees of, where not everybody sees all of them.
    leaf_permissions(leaf): what else it takes to ask just this, where that depends on the values asked for.
    is_planned: a moment that is set beforehand, such as the end of a contract: a past day knew it.
    follows: of an anniversary, the moment (an expression) whose day it is: a past day before that did not know it.
    held(values): instead of `rows`, a SET kept in a column of the root: who has any of the values; with none given, any at all.
    """

    key: str
    label: Text
    group: Text
    type: ValueType
    read: Reader
    expression: Callable[[datetime], Any] | None = None
    rows: Callable[[], QuerySet[Any]] | None = None
    person: str = "contact"
    value: str = ""
    at: str = ""
    amount: Any = None
    options: Callable[[], Sequence[Option]] | None = None
    dirty_keys: tuple[str, ...] | Callable[[Leaf], Iterable[str]] = ()
    boundary: Callable[[datetime], Any] | None = None
    unavailable: Callable[[], Text] | None = None
    operators: tuple[str, ...] = ()
    dies_with_options: bool = False
    narrow: Callable[[Leaf], Q] | None = None
    held: Callable[[Sequence[Any]], Q] | None = None
    unit: Text = ""
    order: int = 100
    permissions: tuple[str, ...] = ()
    is_planned: bool = False
    follows: Any = None
    leaf_permissions: Callable[[Leaf], Iterable[str]] | None = None
    see_roles: frozenset[int] = frozenset()
    show: Callable[[Any], str] | None = None
    traits: tuple[Trait, ...] = ()
    offered: Callable[[DataScope], QuerySet[Any]] | None = None
    source: Callable[[int, Leaf], str] | None = None

    def __post_init__(self) -> None:
        is_set = self.type == ValueType.SET
        has_rows = self.rows is not None or (is_set and self.held is not None)
        if has_rows != (self.type in ROWS) or (self.expression is None) != (self.type in ROWS):
            raise ValueError(
                f"field {self.key}: rows belong to SET, FACTS and SEQUENCE, an expression to the other types"
            )
        if self.type in (ValueType.FACTS, ValueType.SEQUENCE) and not self.at:
            raise ValueError(f"field {self.key}: facts need an instant")
        if self.type in (ValueType.CHOICE, ValueType.SET, ValueType.SEQUENCE) and self.options is None:
            raise ValueError(f"field {self.key}: a choice needs options")
        if self.traits and self.rows is None:
            raise ValueError(f"field {self.key}: traits are of rows")

    @property
    def allowed(self) -> tuple[Operator, ...]:
        """The operators a leaf may use."""
        known = OPERATORS[self.type]
        if self.operators:
            known = tuple(operator for operator in known if operator.key in self.operators)
        return tuple(operator for operator in known if self.amount is not None or operator.key not in NEEDS_AMOUNT)

    def operator(self, key: str) -> Operator | None:
        """The operator of a key, when this field allows it."""
        known = operator_of(self.type, key)
        return known if known in self.allowed else None

    def rows_for(self, leaf: Leaf) -> QuerySet[Any]:
        """The rows that a leaf is about, of all time, in no order."""
        assert self.rows is not None
        rows = self.rows().order_by()
        for key, values in (leaf.where or {}).items():
            trait = self.trait(key)
            if trait is None:
                raise LookupError(f"{self.key} has no {key}")
            rows = rows.filter(trait.kept(values))
        return rows

    def trait(self, key: str) -> Trait | None:
        """The trait of a key, or None."""
        return next((trait for trait in self.traits if trait.key == key), None)

    def takes_window(self, operator: Operator) -> bool:
        """Whether a leaf of this field and operator may carry a window."""
        return operator.window != "none" and (self.type == ValueType.MOMENT or bool(self.at))

    def keys_for(self, leaf: Leaf) -> frozenset[str]:
        """The dirty keys that may change the leaf's answer."""
        if callable(self.dirty_keys):
            return frozenset(self.dirty_keys(leaf))
        return frozenset(self.dirty_keys or (self.key,))

    @property
    def why_unavailable(self) -> Text:
        return self.unavailable() if self.unavailable else ""

    def is_closed_to(self, asker: Asker) -> bool:
        """Whether its values are not hers to see."""
        has_role = not self.see_roles or bool(self.see_roles & asker.roles)
        return not (has_role and asker.permissions.issuperset(self.permissions))

    def is_leaf_closed_to(self, leaf: Leaf, asker: Asker) -> bool:
        """Whether what a leaf asks, its narrowing included, is not hers to see."""
        needed = [name for key in leaf.where or () if (trait := self.trait(key)) for name in trait.permissions]
        if self.leaf_permissions is not None:
            needed += self.leaf_permissions(leaf)
        return self.is_closed_to(asker) or not asker.permissions.issuperset(needed)

    @property
    def cost(self) -> int:
        """What a leaf weighs against the limit of a tree."""
        return _COST.get(self.type, 1)


@dataclass(frozen=True)
class Family:
    """Fields that the tenant's data define (`custom.<key>`): `get` makes one by its full key or says None, `list` all of them."""

    prefix: str
    get: Callable[[str], Field | None]
    list: Callable[[], Sequence[Field]]


_fields: dict[str, Field] = {}
_families: dict[str, Family] = {}


def register(*fields: Field) -> None:
    """Add fields. Raises ValueError when a key is taken by another."""
    for field in fields:
        if _fields.get(field.key, field) != field:
            raise ValueError(f"condition field {field.key} is registered twice")
        _fields[field.key] = field


def register_family(family: Family) -> None:
    """Add a family of fields. Raises ValueError when its prefix is taken by another."""
    if _families.get(family.prefix, family) != family:
        raise ValueError(f"condition field family {family.prefix} is registered twice")
    _families[family.prefix] = family


_page: ContextVar[dict[Any, Any] | None] = ContextVar("condition_fields", default=None)


@contextmanager
def asked_once(known: dict[Any, Any]) -> Iterator[None]:
    """Within it, fields are looked up once and their lists of options asked for once, however many leaves speak of them; for the making
    of one page. known: where they are kept, if the page is made in several steps."""
    token = _page.set(known)
    try:
        yield
    finally:
        _page.reset(token)


def _remembered(field: Field) -> Field:
    """The same field; what it asks the database for, it asks for once."""
    page = _page.get()
    if page is None:
        return field
    known: Field | None = page.get(field.key)
    if known is None:
        traits = tuple(replace(trait, options=cache(trait.options)) for trait in field.traits)
        options, unavailable = field.options and cache(field.options), field.unavailable and cache(field.unavailable)
        known = page[field.key] = replace(field, options=options, unavailable=unavailable, traits=traits)
    return known


def seen_values(source: Field | Trait, scope: DataScope) -> frozenset[Any] | None:
    """The options' values that somebody sees of, None: of all."""
    if source.offered is None or scope.sees_all:
        return None
    page = _page.get()
    key = (source.offered, scope)
    if page is not None and key in page:
        return cast("frozenset[Any]", page[key])
    seen = frozenset(source.offered(scope).values_list("pk", flat=True))
    if page is not None:
        page[key] = seen
    return seen


def find(key: str) -> Field | None:
    """The field of a key, or None."""
    page = _page.get()
    if page is not None and key in page:
        return cast("Field | None", page[key])
    known = _fields.get(key)
    if known is None:
        family = next((family for prefix, family in _families.items() if key.startswith(prefix)), None)
        known = family.get(key) if family else None
    if known is None and page is not None:
        page[key] = None
    return None if known is None else _remembered(known)


def get(key: str) -> Field:
    """The field of a key. Raises KeyError for an unknown one."""
    known = find(key)
    if known is None:
        raise KeyError(key)
    return known


def all_fields() -> list[Field]:
    """Every field of the tenant, families included, by group in order of registration."""
    fields = [*_fields.values(), *(field for family in _families.values() for field in family.list())]
    fields = [_remembered(field) for field in fields]
    groups = list(dict.fromkeys(str(field.group) for field in fields))
    return sorted(fields, key=lambda field: (groups.index(str(field.group)), field.order))
