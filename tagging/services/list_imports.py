"""A file of people for a fixed list: by customer number, external_userid, unionid or phone; tried, brought in and taken back like any
other import."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy

from contacts.services.imports.people import judge_keys, key_columns
from contacts.services.imports.registry import Column, Kind, Slice
from contacts.services.imports.rows import to_do
from contacts.services.inbound import lock_people
from tagging.models import Segment, SegmentEntry
from tagging.services.static_lists import fill_static
from tenants.audit import Actor

KEY = "segment_list"


def _columns(heads: Sequence[str]) -> list[Column]:
    return key_columns()


class _Listing:
    """The worker: ImportRun.aim is the list."""

    def lock(self, part: Slice) -> None:
        # Nobody is merged between the look and the writing; the list itself is locked by whoever fills it, behind its people.
        lock_people()

    def judge(self, part: Slice) -> None:
        table = connection.ops.quote_name(SegmentEntry._meta.db_table)
        entry = f"SELECT 1 FROM {table} AS e WHERE e.segment_id = {int(part.run.aim or 0)} AND e.contact_id = placed.root LIMIT 1"
        judge_keys(part, f"""CASE WHEN ({entry}) IS NULL THEN '{{"list": [null, true]}}'::jsonb ELSE '{{}}' END""")

    def confirm(self, part: Slice) -> None:
        self.judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        fill_static(self._list(part), self._people(part), how="add", by=by)

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        fill_static(self._list(part), self._people(part), how="remove", by=by)

    def _list(self, part: Slice) -> Segment:
        return Segment.objects.get(pk=part.run.aim or 0)

    def _people(self, part: Slice) -> list[Any]:
        return [row.target_id for row in to_do(part)]


KIND = Kind(
    KEY,
    gettext_lazy("固定名单"),
    gettext_lazy(
        "一列就够:客户编号、external_userid、unionid 或手机号。认得出的客户加入名单,认不出的列在未导入的行里。"
    ),
    "segments.edit",
    _columns,
    _Listing(),
    order=90,
    is_aimed=True,
)
