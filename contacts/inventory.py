"""What we have of a corp, for the bridge to compare with a complete read."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Count, Q

from contacts.comparing import LISTED
from contacts.models import Department, Follow, GroupChat, Identity, Member, Relation
from wecom_bridge.contracts import Inventory, register_inventory
from wecom_bridge.models import Corp


def count_follows(corp: Corp) -> Mapping[str, int]:
    """userid → relations that her list in WeCom should show."""
    rows = Follow.objects.filter(corp=corp, relation__in=LISTED, member__id_space=corp.id_space)
    return dict(rows.values_list("member__userid").annotate(n=Count("pk")).order_by())


def list_follows(corp: Corp, userids: Sequence[str]) -> Mapping[str, set[str]]:
    """userid → the external_userids of her friends. One that its customer ended already may be missing in WeCom: nothing is lost by it."""
    found: dict[str, set[str]] = {userid: set() for userid in userids}
    rows = Follow.objects.filter(
        corp=corp, relation=Relation.ACTIVE, member__id_space=corp.id_space, member__userid__in=userids
    )
    for userid, external in rows.values_list("member__userid", "identity__value"):
        found[userid].add(external)
    return found


def list_groups(corp: Corp) -> Mapping[str, str]:
    """chat_id → the owner's userid, of groups not dismissed."""
    rows = GroupChat.objects.filter(corp=corp, id_space=corp.id_space, dismissed_at=None)
    return dict(rows.values_list("chat_id", "owner_userid"))


def list_newer(corp: Corp, read_at: datetime) -> tuple[set[tuple[str, str]], set[str]]:
    """(pairs, chat_ids) that began or were read again after an instant: a reading of then says nothing of them."""
    newer = Follow.objects.filter(
        Q(relation_since__gt=read_at) | Q(synced_at__gt=read_at), corp=corp, member__id_space=corp.id_space
    )
    groups = GroupChat.objects.filter(
        Q(created_at__gt=read_at) | Q(synced_at__gt=read_at), corp=corp, id_space=corp.id_space
    )
    pairs = newer.values_list("identity__value", "member__userid")
    return set(pairs), set(groups.values_list("chat_id", flat=True))


def list_members(corp: Corp) -> Mapping[str, bool]:
    """userid → whether she serves customers, of members the directory showed us and who have not left."""
    rows = Member.objects.filter(corp=corp, id_space=corp.id_space).exclude(
        status__in=(Member.Status.LEFT, Member.Status.UNKNOWN)
    )
    return dict(rows.values_list("userid", "has_customer_contact"))


def list_departments(corp: Corp) -> set[int]:
    """Departments that are not gone."""
    return set(Department.objects.filter(corp=corp, is_gone=False).values_list("department_id", flat=True))


def name_members(corp: Corp, userids: Sequence[str]) -> Mapping[str, str]:
    """userid → name, where we know one."""
    rows = Member.objects.filter(corp=corp, id_space=corp.id_space, userid__in=userids).exclude(name="")
    return dict(rows.values_list("userid", "name"))


def list_standing(corp: Corp, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these (external_userid, userid), those who are friends."""
    externals = {external for external, _userid in pairs}
    rows = Follow.objects.filter(
        corp=corp, relation=Relation.ACTIVE, member__id_space=corp.id_space, **Identity.named(corp, externals)
    )
    return set(pairs) & set(rows.values_list("identity__value", "member__userid"))


def register() -> None:
    """Tell the bridge."""
    register_inventory(
        Inventory(
            follow_counts=count_follows,
            follows=list_follows,
            groups=list_groups,
            newer=list_newer,
            members=list_members,
            departments=list_departments,
            names=name_members,
            standing=list_standing,
        )
    )
