"""What of one person would set a rule off, and what became of each: the other half of why it did, or did not, act on her."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from contacts import timeline
from contacts.models import Contact
from tagging import triggers
from tagging.models import Rule, RuleEvent, RuleSlot, RuleVersion, SegmentChange
from tagging.rule_words import actions_by_version, outcome_in_words

MOST = 5
TONES = {RuleEvent.State.WAITING: "run", RuleEvent.State.DONE: "ok", RuleEvent.State.SKIPPED: "idle"}


@dataclass
class Spark:
    """One occasion. came: how we learned of it, "" where that says nothing; key: of its RuleEvent, "" where only the instant tells;
    unheard: why no RuleEvent stands for it, in words. fate, state, tone and version are of that RuleEvent, or say that there is none."""

    what: str
    at: datetime
    came: str = ""
    key: str = ""
    unheard: str = ""
    fate: str = ""
    state: str = ""
    tone: str = "idle"
    version: int | None = None


def sparks_of(rule: Rule, contact: Contact) -> list[Spark] | None:
    """The last occasions since the rule was switched on, the latest first, of a root and whoever was merged into her; none of a rule
    never switched on; None of one that acts on whoever starts to match. A constant number of queries."""
    find = _FINDERS.get(str(rule.when.get("kind"))) or _facts
    if rule.is_match or rule.enabled_at is None:
        return None if rule.is_match else []
    sparks = find(rule, contact.family_ids)
    if sparks:
        _tell_fates(rule, contact.family_ids, sparks)
    return sparks


def _facts(rule: Rule, people: Sequence[int]) -> list[Spark]:
    wanted = triggers.events_of(rule.when)
    if wanted is None:
        return []
    facts = wanted.filter(contact__in=people, occurred_at__gte=rule.enabled_at).order_by("-occurred_at", "-pk")[:MOST]
    saved_at = RuleVersion.objects.filter(rule=rule, number=rule.version).values_list("saved_at", flat=True).first()
    return [
        Spark(
            _said(fact),
            fact.occurred_at,
            str(fact.get_source_display()),
            f"fact:{fact.fact_key}",
            _("没有触发:那时规则还不是现在这一版") if saved_at and fact.recorded_at < saved_at else "",
        )
        for fact in facts
    ]


def _said(fact: Any) -> str:
    kind = timeline.kind_of(fact.kind)
    return " · ".join(filter(None, [str(kind.label), kind.renderer(fact) if kind.renderer else ""]))


def _segment_moves(rule: Rule, people: Sequence[int]) -> list[Spark]:
    rows = SegmentChange.objects.filter(
        contact__in=people, segment=rule.when.get("segment") or 0, kind=rule.when.get("way"),
        changed_at__gte=rule.enabled_at,
    ).order_by("-changed_at", "-pk")  # fmt: skip
    built = _("没有触发:人群重新计算带来的进出不触发规则")
    return [
        Spark(
            str(row.get_kind_display()),
            row.changed_at,
            str(row.get_cause_display()),
            unheard=built if row.cause == SegmentChange.Cause.BUILD else "",
        )
        for row in rows[:MOST]
    ]


def _times(rule: Rule, people: Sequence[int]) -> list[Spark]:
    slots = RuleSlot.objects.filter(rule=rule, slot_at__gte=rule.enabled_at).order_by("-slot_at")[:MOST]
    missed, unmatched = _("已错过,没有执行"), _("当时不符合条件,未执行")
    return [Spark(_("定时"), slot.slot_at, unheard=missed if slot.is_missed else unmatched) for slot in slots]


_FINDERS = {"segment": _segment_moves, "schedule": _times}


def _tell_fates(rule: Rule, people: Sequence[int], sparks: Sequence[Spark]) -> None:
    """A fact is known by its key; a move or a time, of which the key holds who she was then, by its instant."""
    rows = RuleEvent.objects.filter(
        rule=rule, contact__in=people, job_id__isnull=True, happened_at__in={spark.at for spark in sparks}
    )
    heard: dict[Any, RuleEvent] = {}
    for row in rows.order_by("pk"):
        heard[row.trigger_key] = heard[row.happened_at] = row
    did = actions_by_version(rule, [row.rule_version for row in heard.values()])
    for spark in sparks:
        stands = heard.get(spark.key or spark.at)
        if stands is None:
            spark.state = _("没有触发")
            spark.fate = spark.unheard or _("没有触发:规则当时没有启用,或这是补来的历史")
            continue
        spark.state, spark.tone = stands.get_state_display(), TONES[RuleEvent.State(stands.state)]
        spark.version = stands.rule_version
        spark.fate = outcome_in_words(stands.outcome, rule, did.get(stands.rule_version, []))
