"""One person, locked for a change that somebody makes by hand."""

from django.utils.translation import gettext as _

from contacts.models import Contact
from scrm.lib.errors import Conflict


def lock_person(contact_id: int, *related: str) -> Contact:
    """The person (a root), locked. Raises Conflict when she was merged into another or erased since the page was opened: what
    was decided about her then would be written where nobody looks."""
    rows = Contact.objects.select_for_update(of=("self",)).filter(root__isnull=True, erased_at__isnull=True)
    person = (
        rows.select_related(*related).filter(pk=contact_id).first() if related else rows.filter(pk=contact_id).first()
    )
    if person is None:
        raise Conflict(merged_meanwhile())
    return person


def merged_meanwhile() -> str:
    """What is said of it."""
    return _("这位客户刚与其他客户合并,或已被删除。请回到客户列表重新打开,再改。")
