"""People met for the first time in a first sync: what lists and search need of them is known before their rows are written.

The general way (search, standing) writes a row, reads all it needs back and updates the row twice. For tens of thousands of
people who have nothing yet but the follows of this batch, the same values are computed here and inserted at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from contacts.models import Member, OwnershipChange
from contacts.phones import normalise_phone
from contacts.policy import people_policy
from contacts.services.crediting import REASONS, first_sight, takes_latest
from contacts.services.people import Known
from contacts.services.search import people_text
from scrm.lib.db.bulk import clean_text, insert_rows
from wecom_bridge.contracts import FollowInfo, PersonRow


def initial_columns(rows: Iterable[PersonRow], members: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """external_userid → the columns of a contact whose every follow stands in her row. One query."""
    stores = dict(Member.objects.filter(pk__in=set(members.values())).values_list("pk", "store_id"))
    rule = people_policy().owner_rule
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        follows = sorted(row.follows, key=lambda follow: follow.userid)
        if not follows:
            continue
        owner_id = first_sight([(follow.created_at, members[follow.userid]) for follow in follows], rule).member_id
        dates = [follow.created_at for follow in follows]
        found[row.person.external_userid] = {
            "search_text": _search_text(row.person.name, follows),
            "active_follows": len(follows),
            "first_added_at": min(dates),
            "last_added_at": max(dates),
            "owner_id": owner_id,
            "store_id": stores.get(owner_id),
        }
    return found


def _search_text(name: str, follows: Iterable[FollowInfo]) -> str:
    remarks = [clean_text(follow.remark, 64) for follow in follows]
    phones = {normalise_phone(clean_text(mobile, 40)) for follow in follows for mobile in follow.remark_mobiles}
    return people_text([clean_text(name, 128), *remarks], sorted(phone for phone in phones if phone))


def note_owners(settled: Mapping[str, Known], columns: Mapping[str, Mapping[str, Any]]) -> None:
    """业绩归属 of these people began with the adding that the merchant's rule takes."""
    rule = people_policy().owner_rule
    since = "last_added_at" if takes_latest(rule) else "first_added_at"
    rows = [
        {"contact_id": known.contact_id, "from_member_id": None, "to_member_id": columns[external]["owner_id"],
         "changed_at": columns[external][since], "reason": REASONS[rule.kind], "actor_id": None}
        for external, known in settled.items()
    ]  # fmt: skip
    insert_rows(OwnershipChange, rows)


def settle(known: Mapping[str, Known], columns: Mapping[str, Mapping[str, Any]]) -> dict[str, Known]:
    """Those whose columns say all there is: new, and known by one external_userid only."""
    seen: dict[int, int] = {}
    for one in known.values():
        seen[one.contact_id] = seen.get(one.contact_id, 0) + 1
    return {
        external: one
        for external, one in known.items()
        if one.is_new and seen[one.contact_id] == 1 and external in columns
    }
