"""What the merchant itself knows of a person: custom fields, birthday."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from contacts import marks
from contacts.models import Contact
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor

MAX_FIELDS = 40
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
UNSET: Any = object()


@transaction.atomic
def change_details(
    contact_id: int, *, by: Actor, custom: Mapping[str, str | None] | None = None, birthday: date | None = UNSET
) -> Contact:
    """Write custom fields (None removes one, others stay) and the birthday of a person (root).

    Raises UserError for a key that is not lower-case letters, digits and underscores, and for more than 40 fields.
    """
    person = (
        Contact.objects.select_for_update(of=("self",)).select_related("stage", "owner", "store").get(pk=contact_id)
    )
    before = dict(person.custom)
    for key, value in (custom or {}).items():
        if not _KEY.fullmatch(key):
            raise UserError(_("字段名「%(key)s」只能用小写字母、数字和下划线,以字母开头。") % {"key": key})
        if value is None:
            person.custom.pop(key, None)
        else:
            person.custom[key] = clean_text(value, 400)
    if len(person.custom) > MAX_FIELDS:
        raise UserError(_("自定义字段最多 %(limit)d 个。") % {"limit": MAX_FIELDS})
    changed = sorted(
        f"custom.{key}" for key in before.keys() | person.custom.keys() if before.get(key) != person.custom.get(key)
    )
    if birthday is not UNSET and birthday != person.birthday:
        person.birthday = birthday
        changed.append("birthday")
    if changed:
        person.updated_at = clock.now()
        person.save(update_fields=["custom", "birthday", "updated_at"])
        marks.mark([person.pk], *changed)
        audit.record("contact.details_changed", person, by=by, fields=changed)
    return person
