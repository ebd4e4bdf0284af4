"""Cutting a frozen push into units: one sender, one rendered content, at most 10,000 people or 2,000 groups each."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Count

from campaigns.models import ContentVersion, Delivery, Dispatch, Push
from campaigns.rendering import render
from campaigns.states import DeliveryState, PushTarget
from contacts.models import Member

MAX_PEOPLE = 10_000
MAX_GROUPS = 2_000


def cut_dispatches(push: Push, content: ContentVersion) -> int:
    """Make the units of a push's planned deliveries and hang the deliveries on them. The number of units.

    Constant statements. Runs in the transaction of the freeze.
    """
    chunk_size = MAX_GROUPS if push.target == PushTarget.GROUPS else MAX_PEOPLE
    planned = Delivery.objects.filter(push=push, state=DeliveryState.PLANNED, dispatch__isnull=True)
    sizes = dict(planned.values_list("member_id").annotate(n=Count("pk")).order_by())
    senders = Member.objects.select_related("store").filter(pk__in=sizes).order_by("pk")
    units = [unit for sender in senders for unit in _units(push, content, sender, sizes[sender.pk], chunk_size)]
    Dispatch.objects.bulk_create(units, batch_size=1000)
    _hang(push, chunk_size)
    return len(units)


def recognisable_digest(text: str, attachments: list[dict[str, Any]]) -> str:
    """What a lost answer is recognised by: WeCom lists the text, and attachments in another shape than they were given.

    No finer than handlers.groupmsg compares: two units that look alike there are never unsettled at once.
    """
    return hashlib.sha256(f"{len(attachments)}\n{text}".encode()).hexdigest()


def _units(push: Push, content: ContentVersion, sender: Member, size: int, chunk_size: int) -> Iterable[Dispatch]:
    store = sender.store
    text = render(content.text, guide=sender, store=store)
    digest = recognisable_digest(text, content.attachments)
    for chunk in range(-(-size // chunk_size)):
        yield Dispatch(
            push=push,
            sender=sender,
            chunk=chunk,
            content_version=content,
            text=text,
            attachments=content.attachments,
            content_digest=digest,
            store=store,
            region_id=store.region_id if store else None,
            dealer_id=store.dealer_id if store else None,
            planned=min(chunk_size, size - chunk * chunk_size),
        )


def _hang(push: Push, chunk_size: int) -> None:
    delivery, dispatch = Delivery._meta.db_table, Dispatch._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {delivery} SET dispatch_id = placed.dispatch_id
            FROM (
              SELECT numbered.id, u.id AS dispatch_id
              FROM (
                SELECT id, member_id, (row_number() OVER (PARTITION BY member_id ORDER BY id) - 1) / %(size)s AS chunk
                FROM {delivery} WHERE push_id = %(push)s AND state = 'planned' AND dispatch_id IS NULL
              ) numbered
              JOIN {dispatch} u ON u.push_id = %(push)s AND u.sender_id = numbered.member_id AND u.chunk = numbered.chunk
            ) placed
            WHERE {delivery}.id = placed.id""",
            {"size": chunk_size, "push": push.pk},
        )
