"""A deleted tag takes the rules and segments that read or put it to 需修复: they stop, and never act on half a condition."""

from collections.abc import Collection

from django.utils.translation import gettext as _

from conditions import boundaries
from conditions.drain import LOCK
from conditions.schema import problems_of
from tagging import actions, triggers
from tagging.models import Rule, Segment
from tagging.tag_readers import groups_named, tags_named
from tenants import locks


def break_readers_of_tags(tag_ids: Collection[int]) -> None:
    """Check every live segment and enabled rule that names one of the tags. Called in the transaction that deletes them, which waits
    here for a batch under way: that knows them still, and would find nobody with a tag that is gone."""
    locks.lock_in_transaction(LOCK)
    wanted = set(tag_ids)
    for segment in Segment.objects.filter(archived_at__isnull=True, kind="dynamic"):
        if wanted & tags_named(segment.tree):
            check_segment(segment)
    for rule in Rule.objects.filter(state=Rule.State.ON):
        if wanted & tags_named(rule.tree) or any(wanted & actions.tags_of(action) for action in rule.actions):
            check_rule(rule)


def break_readers_of_groups(group_ids: Collection[int]) -> None:
    """The same for tag groups that are gone, which a condition may name to narrow by."""
    locks.lock_in_transaction(LOCK)
    wanted = set(group_ids)
    for segment in Segment.objects.filter(archived_at__isnull=True, kind="dynamic"):
        if wanted & groups_named(segment.tree):
            check_segment(segment)
    for rule in Rule.objects.filter(state=Rule.State.ON):
        if wanted & groups_named(rule.tree):
            check_rule(rule)


def check_segment(segment: Segment) -> bool:
    """Whether the tree still means something; if not, the segment fails with its reason, its entries stand as of fresh_at."""
    problems = problems_of(segment.tree)
    if problems:
        fail_segment(segment, _("需修复:%(reason)s") % {"reason": problems[0].message})
    return not problems


def fail_segment(segment: Segment, reason: str) -> None:
    """The segment stops being computed until somebody edits it."""
    segment.state, segment.last_error = Segment.State.FAILED, reason
    # Of the version it was found in: an edit made meanwhile is another condition.
    Segment.objects.filter(pk=segment.pk, tree_version=segment.tree_version).update(
        state=segment.state, last_error=reason
    )


def reasons_against(rule: Rule) -> list[str]:
    """Why trigger, tree or actions mean nothing any more."""
    found = [problem.message for problem in problems_of(rule.tree)] + actions.problems_of(rule.actions)
    return found + triggers.problems_of(rule.when)


def check_rule(rule: Rule) -> bool:
    """Whether trigger, tree and actions still mean something; if not, the rule stops at once."""
    reasons = reasons_against(rule)
    if reasons:
        break_rule(rule, reasons[0])
    return not reasons


def break_rule(rule: Rule, reason: str) -> None:
    """The rule stops until somebody repairs and enables it again."""
    rule.state, rule.last_error = Rule.State.BROKEN, reason
    # Of the version it was found in: an edit made meanwhile is another rule.
    Rule.objects.filter(pk=rule.pk, version=rule.version).update(state=rule.state, last_error=reason)
    boundaries.forget(rule.reader)
