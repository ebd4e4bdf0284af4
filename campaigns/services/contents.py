"""Content and its immutable versions."""

import hashlib
import json
from typing import Any

from django.db import transaction

from campaigns.models import Content, ContentVersion
from campaigns.rendering import Carrier, check_message
from scrm.lib import clock
from tenants import audit
from tenants.audit import Actor


def message_digest(text: str, attachments: list[dict[str, Any]]) -> str:
    """Tells two messages apart: hex SHA-256 of text and attachments."""
    body = json.dumps([text, attachments], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


@transaction.atomic
def create_content(
    *, title: str, message_class: str, text: str, attachments: list[dict[str, Any]], carrier: Carrier, by: Actor
) -> ContentVersion:
    """A content with its first version. Raises UserError when the carrier cannot carry it."""
    check_message(text, attachments, carrier)
    content = Content.objects.create(
        title=title[:60], message_class=message_class, created_by_id=by.id, created_at=clock.now()
    )
    audit.record("content.created", content, by=by)
    return _add(content, 1, text, attachments, by)


@transaction.atomic
def revise_content(
    content_id: int, *, text: str, attachments: list[dict[str, Any]], carrier: Carrier, by: Actor
) -> ContentVersion:
    """The next version, or the latest one when nothing changed. Raises UserError as create_content does."""
    check_message(text, attachments, carrier)
    content = Content.objects.select_for_update().get(pk=content_id)
    latest = content.versions.order_by("-number").first()
    if latest is not None and latest.digest == message_digest(text, attachments):
        return latest
    audit.record("content.revised", content, by=by)
    return _add(content, (latest.number if latest else 0) + 1, text, attachments, by)


def _add(content: Content, number: int, text: str, attachments: list[dict[str, Any]], by: Actor) -> ContentVersion:
    return ContentVersion.objects.create(
        content=content,
        number=number,
        text=text,
        attachments=attachments,
        digest=message_digest(text, attachments),
        created_by_id=by.id,
        created_at=clock.now(),
    )
