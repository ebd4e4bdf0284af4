"""跟进记录: what a colleague wrote down about a person."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import Member, Note
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import NotAllowed, UserError
from tenants import audit
from tenants.audit import Actor

# Long enough to put a slip right, short enough that what others have read and acted on stays as they read it.
EDITABLE = timedelta(minutes=30)
LONGEST = 1000


@transaction.atomic
def write_note(contact_id: int, text: str, *, by: Actor, at: datetime) -> Note:
    """Write a note about a person (a root). Raises UserError for an empty or too long one."""
    note = Note.objects.create(
        contact_id=contact_id, text=_checked(text), author_id=user_of(by), author_name=by.name[:40], written_at=at
    )
    record_events([
        NewEvent("note.written", at, "product", f"note:{note.pk}", contact_id=contact_id, member_id=member_of(by),
                 actor=actor_label(by), subject=f"note:{note.pk}")
    ])  # fmt: skip
    audit.record("note.written", note.contact, by=by, note=note.pk)
    return note


@transaction.atomic
def edit_note(note_id: int, text: str, *, by: Actor, at: datetime) -> Note:
    """Put a note right. Raises NotAllowed for another's note, UserError when it is too late or the text is none."""
    note = _own_and_fresh(note_id, by, at)
    note.text, note.edited_at = _checked(text), at
    note.save(update_fields=["text", "edited_at"])
    audit.record("note.edited", note.contact, by=by, note=note.pk)
    return note


@transaction.atomic
def withdraw_note(note_id: int, *, by: Actor, at: datetime) -> Note:
    """Take a note back: its words go, that there was one stays. Raises as edit_note."""
    note = _own_and_fresh(note_id, by, at)
    note.text, note.withdrawn_at = "", at
    note.save(update_fields=["text", "withdrawn_at"])
    audit.record("note.withdrawn", note.contact, by=by, note=note.pk)
    return note


def is_editable(note: Note, user_id: int, at: datetime) -> bool:
    """Whether a user may still change a note."""
    return note.author_id == user_id and note.withdrawn_at is None and at < note.written_at + EDITABLE


def member_of(by: Actor) -> int | None:
    """The member a user is, for the store of a fact; the first of several."""
    if by.kind != "user" or by.id is None:
        return None
    return Member.objects.filter(account__user_id=by.id).order_by("pk").values_list("pk", flat=True).first()


def _own_and_fresh(note_id: int, by: Actor, at: datetime) -> Note:
    note = Note.objects.select_for_update(of=("self",)).select_related("contact").get(pk=note_id)
    if note.author_id != user_of(by):
        raise NotAllowed(_("只有写这条跟进记录的人能改它。可以另写一条补充。"))
    if note.withdrawn_at is not None:
        raise UserError(_("这条跟进记录已经撤回。可以另写一条。"))
    if not is_editable(note, note.author_id, at):
        raise UserError(
            _("跟进记录写下 %(minutes)d 分钟后不能再改,请另写一条补充。") % {"minutes": EDITABLE.total_seconds() // 60}
        )
    return note


def _checked(text: str) -> str:
    text = clean_text(text).strip()
    if not text:
        raise UserError(_("请先写下跟进的内容。"))
    if len(text) > LONGEST:
        raise UserError(
            _("跟进记录最多 %(limit)d 字,现在有 %(count)d 字,请删短或分成两条。")
            % {"limit": LONGEST, "count": len(text)}
        )
    return text


def user_of(by: Actor) -> int:
    """The user who acts. Raises NotAllowed for a token or the system: what colleagues write has a person behind it."""
    if by.kind != "user" or by.id is None:
        raise NotAllowed(_("跟进记录和待办要由登录的人来写。"))
    return by.id
