"""Asking WeCom once more for tags it refused a rule."""

from django.db import transaction

from tagging.matching import of_people
from tagging.models import FollowTag, Rule
from tagging.services.marks import mark_tags
from tenants import audit
from tenants.audit import Actor


@transaction.atomic
def retry_marks(rule: Rule, root_id: int, *, by: Actor) -> int:
    """Wish again what WeCom refused the rule on a customer; how many tags. Raises UserError for a tag that is gone."""
    refused = FollowTag.objects.filter(
        of_people([root_id]), rule=rule, state=FollowTag.State.FAILED, tag__deleted_at__isnull=True
    )
    count = 0
    for follow_id, tag_id in list(refused.order_by("follow_id", "tag_id").values_list("follow_id", "tag_id")):
        count += mark_tags([follow_id], add=[tag_id], origin=FollowTag.Origin.RULE, by=by, rule=rule, again=True)
    audit.record("rule.retried", rule, by=by, contact=root_id, count=count)
    return count
