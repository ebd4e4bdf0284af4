"""Groups and leaves."""

from datetime import datetime
from functools import reduce
from operator import add, and_, or_
from typing import Any

from django.db.models import BooleanField, Case, IntegerField, Q, Value, When
from django.db.models.lookups import GreaterThanOrEqual

from conditions import registry
from conditions.compiler.asking import Ask
from conditions.compiler.rows import of_rows
from conditions.compiler.sweeping import join
from conditions.compiler.values import single
from conditions.tree import Group, Leaf, Negation, Node, parse

NOBODY = Q(pk__in=[])
EVERYBODY = Q()


class UnknownField(LookupError):
    """A leaf names a field or operator that is not registered. Validated trees have none, until an app goes."""


def compile_tree(tree: dict[str, Any], now: datetime, *, sweep: bool = False, as_of: bool = False) -> Q:
    """The people a valid tree holds for at a domain instant, as a Q over conditions.people.people().

    sweep: for work over the whole table, not for a few people: the same answer, found by hashing (in
    conditions.sweeps.room()). as_of: seen from that instant in the past; docs/conditions.md says what that knows. Raises UnknownField.
    """
    return join(compile_node(parse(tree), Ask(now, as_of=as_of, sweep=sweep)))


def compile_leaf(leaf: Leaf, now: datetime, *, negated: bool = False) -> Q:
    """One statement, or its complement. Raises UnknownField."""
    return compile_node(leaf, Ask(now), negated=negated)


def compile_node(node: Node, ask: Ask, *, negated: bool = False) -> Q:
    """One node, or its complement. Raises UnknownField."""
    if isinstance(node, Negation):
        return compile_node(node.part, ask, negated=not negated)
    if isinstance(node, Leaf):
        return _leaf(node, ask, negated=negated)
    return _group(node, ask, negated=negated)


def truth_of(held: Q) -> Any:
    """Whether a Q of compile_node holds, as a column: true or false, never null."""
    if held == EVERYBODY:  # a CASE over an empty Q is none
        return Value(True, output_field=BooleanField())
    return Case(When(held, then=Value(True)), default=Value(False), output_field=BooleanField())


def _leaf(leaf: Leaf, ask: Ask, *, negated: bool) -> Q:
    field = ask.field(leaf.field)
    if field is None or field.operator(leaf.op) is None:
        raise UnknownField(f"{leaf.field} {leaf.op}")
    how = of_rows if field.type in registry.ROWS else single
    return how(field, leaf, ask, negated=negated)


def _group(node: Group, ask: Ask, *, negated: bool) -> Q:
    parts = [compile_node(part, ask, negated=negated) for part in node.parts]
    least = {"all": len(parts), "any": 1, "at_least": node.least}[node.kind]
    if negated:  # not n of k: k - n + 1 do not hold
        least = len(parts) - least + 1
    if least >= len(parts):
        return reduce(and_, parts, EVERYBODY) if least == len(parts) else NOBODY
    return reduce(_either, parts) if least == 1 else _count(parts, least)


def _either(left: Q, right: Q) -> Q:
    """OR, where an empty Q means everybody (Django's own drops it)."""
    return EVERYBODY if not left or not right else or_(left, right)


def _count(parts: list[Q], least: int) -> Q:
    """At least so many of the parts hold."""
    always = sum(1 for part in parts if not part)
    if always >= least:
        return EVERYBODY
    ones = [Case(When(part, then=Value(1)), default=Value(0), output_field=IntegerField()) for part in parts if part]
    return Q(GreaterThanOrEqual(reduce(add, ones), Value(least - always)))
