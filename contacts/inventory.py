"""What we have of a corp, for the bridge to compare with a complete read."""

from collections.abc import Mapping, Sequence

from django.db.models import Count

from contacts.models import Follow, GroupChat, Relation
from wecom_bridge.contracts import Inventory, register_inventory
from wecom_bridge.models import Corp

# Whom WeCom lists for a guide: her friends, and those who deleted her (a one-way relation stays).
LISTED = (Relation.ACTIVE, Relation.DELETED_BY_CUSTOMER)


def count_follows(corp: Corp) -> Mapping[str, int]:
    """userid → relations that her list in WeCom should show."""
    rows = Follow.objects.filter(corp=corp, relation__in=LISTED, member__id_space=corp.id_space)
    return dict(rows.values_list("member__userid").annotate(n=Count("pk")).order_by())


def list_follows(corp: Corp, userids: Sequence[str]) -> Mapping[str, set[str]]:
    """userid → the external_userids of these relations."""
    found: dict[str, set[str]] = {userid: set() for userid in userids}
    rows = Follow.objects.filter(
        corp=corp, relation__in=LISTED, member__id_space=corp.id_space, member__userid__in=userids
    )
    for userid, external in rows.values_list("member__userid", "identity__value"):
        found[userid].add(external)
    return found


def list_groups(corp: Corp) -> Mapping[str, str]:
    """chat_id → the owner's userid, of groups not dismissed."""
    rows = GroupChat.objects.filter(corp=corp, id_space=corp.id_space, dismissed_at=None)
    return dict(rows.values_list("chat_id", "owner_userid"))


def register() -> None:
    """Tell the bridge."""
    register_inventory(Inventory(count_follows, list_follows, list_groups))
