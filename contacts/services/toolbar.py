"""The chat toolbar: the guide whom WeCom named, and the customer she has open, as one pair."""

import re
from dataclasses import dataclass

from accounts.scope import DataScope
from contacts.models import Follow, Identity, Member, Relation
from contacts.queries import visible_contacts
from wecom_bridge.models import Corp
from wecom_bridge.services.rereading import read_customer

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Found:
    """The customer's page (a root), or why there is none: `unknown` here and at WeCom, or `not_hers`."""

    contact_id: int | None = None
    why: str = ""


def find_customer(corp: Corp, member: Member, external_userid: str, scope: DataScope) -> Found:
    """Who this is, among those the guide may see. Whom we do not know as her friend (yet, or any more), WeCom is asked about once.

    Not inside a transaction. Raises TryLater when WeCom does not answer.
    """
    if not _ID.fullmatch(external_userid):
        return Found(why="unknown")
    if not _are_friends(corp, member, external_userid):
        read_customer(corp, external_userid)
    identity = Identity.objects.filter(**Identity.named(corp, [external_userid], path="")).select_related("contact")
    known = identity.first()
    if known is None:
        return Found(why="unknown")
    root = known.contact.root_id or known.contact_id
    if not visible_contacts(scope).filter(pk=root).exists():
        return Found(why="not_hers")
    return Found(root)


def _are_friends(corp: Corp, member: Member, external_userid: str) -> bool:
    active = Follow.objects.filter(corp=corp, member=member, relation=Relation.ACTIVE)
    return active.filter(**Identity.named(corp, [external_userid])).exists()
