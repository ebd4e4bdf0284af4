"""Why a person is in or out: every clause, pass or fail, and the fact used."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.utils.formats import localize
from django.utils.translation import gettext as _

from conditions import registry, windows
from conditions.compiler import compile_leaf
from conditions.compiler.trees import truth_of
from conditions.operators import ValueType
from conditions.people import people
from conditions.registry import Asker, Field
from conditions.render import leaf_in_words
from conditions.tree import Group, Leaf, Negation, Node, leaves, parse

SHOWN = 8  # events of a sequence, the latest
_READ = 500  # values of a set


@dataclass(frozen=True)
class Clause:
    """One line of an explanation. depth: its indentation. holds: None where the reader may not know it. fact: what we know about the
    person, for leaves; source: where that came from."""

    depth: int
    words: str
    holds: bool | None
    fact: str = ""
    source: str = ""


def explain(tree: dict[str, Any], root_id: int, now: datetime, asker: Asker) -> list[Clause]:
    """Every clause of a valid tree for one person, outermost first; facts and answers as far as the asker may see them.
    One query for the truth, one per field for the facts."""
    node = parse(tree)
    found = list(leaves(node))
    truth: dict[int, bool | None] = dict(zip((id(leaf) for leaf in found), _truth(found, root_id, now), strict=True))
    truth |= {id(leaf): None for leaf in found if registry.get(leaf.field).is_leaf_closed_to(leaf, asker)}
    lines: list[Clause] = []
    facts = _Facts(root_id, asker)
    _walk(node, 0, truth, facts, lines)
    return lines


def _truth(found: list[Leaf], root_id: int, now: datetime) -> list[bool]:
    columns = {f"_leaf{index}": truth_of(compile_leaf(leaf, now)) for index, leaf in enumerate(found)}
    row = people().filter(pk=root_id).annotate(**columns).values(*columns).first() if columns else {}
    return [bool((row or {}).get(name)) for name in columns]


def _walk(node: Node, depth: int, truth: dict[int, bool | None], facts: "_Facts", lines: list[Clause]) -> bool | None:
    """The line of a node and of all below it. A group tells no more than the parts she may see decide by themselves."""
    if isinstance(node, Leaf):
        holds = truth[id(node)]
        lines.append(Clause(depth, leaf_in_words(node), holds, *facts.of(node)))
        return holds
    place = len(lines)
    if isinstance(node, Negation):
        inner = _walk(node.part, depth + 1, truth, facts, lines)
        holds = None if inner is None else not inner
        lines.insert(place, Clause(depth, _("以下不成立"), holds))
        return holds
    assert isinstance(node, Group)
    results = [_walk(part, depth + 1, truth, facts, lines) for part in node.parts]
    words = {"all": _("全部满足"), "any": _("满足任一"), "at_least": _("至少满足 %(least)d 项") % {"least": node.least}}
    wanted = {"all": len(results), "any": 1, "at_least": node.least}[node.kind]
    sure, open_still = results.count(True), results.count(None)
    holds = True if sure >= wanted else False if sure + open_still < wanted else None
    lines.insert(place, Clause(depth, words[node.kind], holds))
    return holds


class _Facts:
    """What is known of one person, each question asked once."""

    def __init__(self, root_id: int, asker: Asker) -> None:
        self.root_id, self.asker = root_id, asker
        self.known: dict[tuple[str, str], tuple[str, str]] = {}

    def of(self, leaf: Leaf) -> tuple[str, str]:
        """(the fact, where it came from)."""
        field = registry.get(leaf.field)
        if field.is_leaf_closed_to(leaf, self.asker):
            return _("您看不到这个字段的内容"), ""
        if why := str(field.why_unavailable):  # what was known before its source went says nothing of today
            return why, ""
        # Of a sequence only the kinds asked for: others may not be hers to see.
        narrowed = [leaf.where, leaf.value if field.type == ValueType.SEQUENCE else None]
        asked = (leaf.field, json.dumps(narrowed, sort_keys=True))
        if asked not in self.known:
            self.known[asked] = (self._fact(field, leaf), field.source(self.root_id, leaf) if field.source else "")
        return self.known[asked]

    def _fact(self, field: Field, leaf: Leaf) -> str:
        if field.type == ValueType.SHARE:
            return _("客户编号 %(id)d") % {"id": self.root_id}
        if field.rows is None:
            return _in_words(field, field.read([self.root_id]).get(self.root_id))
        if field.type == ValueType.FACTS:
            found = self._rows(field, leaf).aggregate(count=Count("*"), latest=Max(field.at))
            words = _("共 %(count)d 次,最近 %(at)s") % {
                "count": found["count"],
                "at": windows.in_words(found["latest"]),
            }
            return words if found["count"] else _("没有记录")
        names = {option.value: str(option.label) for option in field.options()} if field.options else {}
        rows = self._rows(field, leaf)
        if field.type == ValueType.SEQUENCE:
            latest = rows.filter(**{f"{field.value}__in": leaf.value}).order_by(f"-{field.at}")
            shown = [
                f"{names.get(kind, kind)} {windows.in_words(at)}"
                for kind, at in reversed(latest.values_list(field.value, field.at)[:SHOWN])
            ]
        else:
            values = dict.fromkeys(rows.values_list(field.value, flat=True)[:_READ])
            shown = [names.get(value, str(value)) for value in values]
        return "、".join(shown) or _("没有记录")

    def _rows(self, field: Field, leaf: Leaf) -> QuerySet[Any]:
        hers = Q(**{field.person: self.root_id}) | Q(**{f"{field.person}__root": self.root_id})
        return field.rows_for(leaf).filter(hers)


def _in_words(field: Field, known: Any) -> str:
    if known is None or known == "" or known == []:
        return _("没有记录")
    if field.show is not None:
        return field.show(known)
    names = {option.value: str(option.label) for option in field.options()} if field.options else {}
    if field.type == ValueType.SET:
        return "、".join(dict.fromkeys(names.get(value, str(value)) for value, _at in known))
    if field.type == ValueType.FLAG:
        return _("是") if known else _("否")
    if field.type == ValueType.MOMENT:
        return windows.in_words(known)
    return names.get(known, "") or str(localize(known))
