"""The chat toolbar: the guide whom WeCom named, and the customer she has open, as one pair; or the group."""

import re
from dataclasses import dataclass

from accounts.scope import DataScope
from contacts.models import GroupChat, Identity
from contacts.queries import visible_contacts, visible_groups
from wecom_bridge.models import Corp
from wecom_bridge.services.rereading import read_customer

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Found:
    """The customer's page (a root), or why there is none: `unknown` here and at WeCom, or `not_hers`."""

    contact_id: int | None = None
    why: str = ""


def find_customer(corp: Corp, external_userid: str, scope: DataScope) -> Found:
    """Who this is, among those the guide may see. Whom we do not know as hers (yet, or any more), WeCom is asked about once.

    Not inside a transaction. Raises TryLater when WeCom does not answer.
    """
    if not _ID.fullmatch(external_userid):
        return Found(why="unknown")
    found = _look(corp, external_userid, scope)
    if found.contact_id is None and read_customer(corp, external_userid):
        found = _look(corp, external_userid, scope)
    return found


def _look(corp: Corp, external_userid: str, scope: DataScope) -> Found:
    identities = Identity.objects.filter(**Identity.named(corp, [external_userid], path=""))
    known = identities.select_related("contact").first()
    if known is None:
        return Found(why="unknown")
    root = known.contact.root_id or known.contact_id
    return Found(root) if visible_contacts(scope).filter(pk=root).exists() else Found(why="not_hers")


def find_group(corp: Corp, chat_id: str, scope: DataScope) -> GroupChat | None:
    """The group, if we know it and the user may see it."""
    return visible_groups(scope).filter(corp=corp, chat_id=chat_id).first()
