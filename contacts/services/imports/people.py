"""客户资料: what a merchant knows of its people. Whom a row means is found by the customer number, external_userid, unionid or a phone."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.scope import scope_from_json
from contacts import custom
from contacts.models import (
    Contact,
    ContactPhone,
    CustomField,
    Follow,
    Identity,
    ImportRow,
    Member,
    Relation,
    Stage,
)
from contacts.queries import visible_contacts
from contacts.services import custom_values
from contacts.services.custom_values import MAX_KEYS
from contacts.services.imports import cells, writing
from contacts.services.imports.registry import BadCell, Column, Kind, Read, Slice
from contacts.services.imports.returning import take_back
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from tenants import locks
from tenants.audit import Actor
from tenants.context import current_tenant
from wecom_bridge.models import Corp

_CUSTOM_HEAD = re.compile(r"custom\.([a-z][a-z0-9_]{0,39})")
_IDENTITIES = ("external", "unionid")


# --- Columns --------------------------------------------------------------------------------------------------------


def key_columns() -> list[Column]:
    """What says whose row it is; of several the first that is filled in."""
    return [
        Column("id", (_("客户编号"), "id", "contact_id"), lambda: _number, is_key=True),
        Column("external", ("external_userid", "外部联系人ID", "客户ID"), lambda: _identity, is_key=True, sample="wmAAAA"),
        Column("unionid", ("unionid", "union_id"), lambda: _identity, is_key=True),
        Column("by_phone", (_("手机号"), "手机", "会员手机", "mobile"), lambda: cells.phone, is_key=True),
    ]  # fmt: skip


def columns(heads: Sequence[str]) -> list[Column]:
    """What a file may say of people. Custom fields come in by heads such as `custom.skin`."""
    keys = key_columns()
    fields = [
        Column("birthday", (_("生日"), "出生日期", "birthday"), cells.day(_("生日"), last=_today), sample="1990-05-20"),
        Column("stage", (_("阶段"), "客户阶段", "生命周期阶段", "stage"), cells.choice(_("阶段"), _stages, _("请写使用中的阶段名"))),
        Column("owner", (_("归属导购"), "导购", "导购账号", "owner"), cells.choice(_("归属导购"), _members, _("请写成员账号"))),
        Column("phone", (_("新增手机号"), "备用手机", "phone"), lambda: cells.phone),
    ]  # fmt: skip
    return keys + fields + _custom(heads)


def _custom(heads: Sequence[str]) -> list[Column]:
    """The fields that everybody may see and edit, by label or key; and keys that nobody defined, which hold text."""
    fields = custom.open_to_all(custom.fields_in_use())
    typed = [
        Column(f"custom.{field.key}", (field.label, f"custom.{field.key}"), partial(_typed, field))
        for field in fields
        if not field.edit_roles
    ]
    named = {head.strip().lower(): None for head in heads if _CUSTOM_HEAD.fullmatch(head.strip().lower())}
    defined = {f"custom.{key}" for key in CustomField.objects.values_list("key", flat=True)}
    return typed + [Column(key, (key,), cells.text(400, key)) for key in named if key not in defined]


def _typed(field: CustomField) -> Read:
    def read(value: Any) -> Any:
        try:
            found = custom.parse(field, value.isoformat() if isinstance(value, date) else value)
        except UserError as error:
            raise BadCell(error.message.rstrip("。")) from None
        if found is None:
            raise BadCell(_("%(label)s没有内容") % {"label": field.label})
        return found

    return read


def _number(value: Any) -> str:
    found = whole_number(str(value))
    if found is None:
        raise BadCell(_("客户编号「%(value)s」不是数字") % {"value": str(value)[:20]})
    return str(found)


def _identity(value: Any) -> str:
    return clean_text(str(value), 130)


def _today() -> date:
    return clock.local_day(clock.now(), current_tenant().time_zone)


def _stages() -> dict[str, Any]:
    rows = Stage.objects.filter(is_archived=False).values_list("pk", "key", "name")
    return cells.by_name(rows)


def _members() -> dict[str, Any]:
    rows = Member.objects.filter(archived_at__isnull=True).exclude(status=Member.Status.LEFT)
    return cells.by_name(rows.values_list("pk", "userid", "name"))


# --- Judging --------------------------------------------------------------------------------------------------------


class People:
    """The worker. One statement judges a slice, one writes the plain columns of its people."""

    def lock(self, part: Slice) -> None:
        locks.lock_in_transaction(custom_values.LOCK, shared=True)
        if "stage" in part.run.mapping:
            # Before the people, as whoever puts a stage out of use does: none goes while a slice moves people there.
            list(Stage.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        # In the order of ids, as every writer does; the ids stay where they are.
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM {_table(Contact)} WHERE id = ANY(ARRAY(SELECT target_id FROM {_table(ImportRow)}"
            " WHERE run_id = %s AND line > %s AND line <= %s AND target_id IS NOT NULL)) ORDER BY id FOR UPDATE) AS held"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [part.run.pk, part.after, part.until])

    def judge(self, part: Slice) -> None:
        _judge(part)

    def confirm(self, part: Slice) -> None:
        """Judge again only whom somebody changed since the trial. The trial's word for a row rests on its person and on no earlier line
        being hers: should a row mean somebody else by now, this slice and those after it are judged as if there had been no trial.
        """
        stale, whole = _stale(part)
        if stale and _judge(part, None if whole else stale):
            part.run.rows.filter(line__gt=part.until, seen__isnull=False).update(seen=None)
            self.lock(part)
            _judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        writing.write(part, by=by, now=now)

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        take_back(part, by=by, now=now)


_SEEN = "hash_record_extended(ROW(root_id, birthday, stage_id, owner_id, custom), 0)"


def _stale(part: Slice) -> tuple[list[int], bool]:
    """The lines that the trial's word does not hold for any more; and whether that is all there are.

    Phones are rows of their own, so they are looked at, and whether a stage is in use still; what a person is like is told by the hash.
    """
    known = f"r.values ? 'phone' AND (r.changes ? 'phone') = ({_has_phone('r.target_id', 'r.values')})"
    sql = f"""
    SELECT r.line, r.seen IS NULL OR c.seen IS NULL OR r.seen <> c.seen OR ({known if "phone" in part.run.mapping else "FALSE"})
        OR ({_goes_nowhere("r.changes") if "stage" in part.run.mapping else "FALSE"})
    FROM {_table(ImportRow)} AS r LEFT JOIN LATERAL (
        SELECT {_SEEN} AS seen FROM {_table(Contact)} WHERE id = r.target_id OFFSET 0
    ) AS c ON TRUE
    WHERE r.run_id = %s AND r.line > %s AND r.line <= %s AND NOT r.is_broken
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [part.run.pk, part.after, part.until])
        rows = cursor.fetchall()
    lines = [line for line, is_stale in rows if is_stale]
    return lines, len(lines) == len(rows)


def judge_keys(part: Slice, change: str) -> None:
    """Find the people of a slice's rows for a kind that does one thing with them. change: SQL over placed.root, a column → [before, after]
    as jsonb, empty where nothing is to be done for her."""
    sql, params = _judging(part, None, change)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def _judge(part: Slice, lines: list[int] | None = None) -> bool:
    """Judge the slice, or only these lines of it; whether one of them means somebody else than was written."""
    sql, params = _judging(part, lines)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return any(has_moved for (has_moved,) in cursor.fetchall())


def _judging(part: Slice, lines: list[int] | None, change: str = "") -> tuple[str, list[Any]]:
    """The statement that finds the person of each row and compares what it wants with what stands. Its parts are materialised:
    folded into each other, each comparison would be made as often as its answer is looked at.

    A person whom an earlier line means already, in this slice or before it, is that line's. lines: only these are judged, and the
    slice's others stand. seen is kept where a person follows from the row alone: by her own number, and in a scope that is everybody;
    a phone, a unionid, a merged line or a friendship may come to mean another without a trace on her.
    """
    row, contact = _table(ImportRow), _table(Contact)
    seen, seen_params = _scope(part)
    found, found_params = _lookups(part)
    span = [part.run.pk, part.after, part.until]
    changes = [piece for column, piece in _CHANGES.items() if column in part.run.mapping]
    if any(key.startswith("custom.") for key in part.run.mapping):
        changes.append(_CUSTOM_CHANGE)
    if change:
        changes.append(change)
    changed = " || ".join(changes) or "'{}'::jsonb"
    lasts = (
        "owner" not in part.run.mapping and scope_from_json(part.run.scope).sees_all and len(_scopes("external")[0]) < 2
    )
    stranger = _STRANGER if "owner" in part.run.mapping else "FALSE"
    stage_gone = _goes_nowhere("changes") if "stage" in part.run.mapping else "FALSE"
    words = {
        "none": _("找不到这位客户,或不在您的数据范围内"), "two": _("对应多位客户,请先合并或改用其他编号"),
        "stranger": _("归属导购不是这位客户的好友,需先转移客户"),
        "stage_gone": _("阶段已停用,请改用使用中的阶段"),
        "many": _("自定义字段最多 %(limit)d 个") % {"limit": MAX_KEYS},
    }  # fmt: skip
    sql = f"""
    WITH part AS MATERIALIZED (
        SELECT id, line, key_kind, key, values AS v, target_id AS was FROM {row}
        WHERE run_id = %s AND line > %s AND line <= %s AND NOT is_broken{" AND line = ANY(%s)" if lines else ""}
    ), found AS (
        SELECT id, min(root) AS root, max(root) AS other, bool_and(is_own) AS is_own FROM ({found}) AS each (id, root, is_own) GROUP BY id
    ), placed AS MATERIALIZED (
        SELECT part.*, found.root, found.other, found.is_own, row_number() OVER one AS nth, first_value(part.line) OVER one AS first_line
        FROM part LEFT JOIN found ON found.id = part.id AND ({seen})
        WINDOW one AS (PARTITION BY CASE WHEN found.root = found.other THEN found.root END ORDER BY part.line)
    ), compared AS MATERIALIZED (
        SELECT placed.id, placed.was, placed.root, placed.other, c.id AS known, placed.nth, placed.first_line,
            (SELECT min(e.line) FROM {row} AS e WHERE e.run_id = %s AND e.target_id = placed.root
             AND e.line {"<= %s" if lines is None else "< placed.line"}) AS earlier,
            CASE WHEN {"placed.key_kind IN ('id', 'external') AND placed.is_own" if lasts else "FALSE"} THEN c.seen END AS seen,
            {stranger} AS is_stranger, {changed} AS changes,
            (placed.v ? 'custom' AND (SELECT count(*) FROM jsonb_object_keys(c.custom || (placed.v -> 'custom'))) > %s) AS is_full
        FROM placed LEFT JOIN LATERAL (
            SELECT id, root_id, birthday, stage_id, owner_id, custom, {_SEEN} AS seen FROM {contact} WHERE id = placed.root OFFSET 0
        ) AS c ON placed.root = placed.other
    ), said AS (
        SELECT id, was, seen, known AS target_id, COALESCE(changes, '{{}}') AS changes, CASE
            WHEN root IS NULL THEN %s WHEN known IS NULL THEN %s
            WHEN earlier IS NOT NULL THEN format(%s, earlier) WHEN nth > 1 THEN format(%s, first_line)
            WHEN is_stranger THEN %s WHEN {stage_gone} THEN %s WHEN is_full THEN %s ELSE '' END AS problem
        FROM compared
    ), verdict AS MATERIALIZED (
        SELECT id, was, target_id, problem, CASE WHEN problem = '' THEN seen END AS seen,
            CASE WHEN problem = '' THEN changes ELSE '{{}}' END AS changes,
            CASE WHEN problem <> '' THEN 'rejected' WHEN changes = '{{}}' THEN 'unchanged' ELSE 'updated' END AS outcome
        FROM said
    )
    UPDATE {row} AS r SET target_id = n.target_id, changes = n.changes, seen = n.seen, outcome = n.outcome, problem = n.problem
    FROM verdict AS n
    WHERE r.run_id = %s AND r.line > %s AND r.line <= %s AND r.id = n.id
      AND (r.target_id, r.changes, r.seen, r.outcome, r.problem) IS DISTINCT FROM (n.target_id, n.changes, n.seen, n.outcome, n.problem)
    RETURNING n.was IS DISTINCT FROM n.target_id
    """
    return sql, [
        *span, *([lines] if lines else []), *found_params, *seen_params, part.run.pk, *([part.after] if lines is None else []), MAX_KEYS,
        words["none"], words["two"], _("与第 %(line)s 行是同一位客户") % {"line": "%s"}, _("与第 %(line)s 行是同一位客户") % {"line": "%s"},
        words["stranger"], words["stage_gone"], words["many"], *span,
    ]  # fmt: skip


# Sub-selects of one row, not EXISTS: that may be turned into a table of everybody, made anew for each slice.
_STRANGER = f"""(placed.v ? 'owner' AND c.owner_id IS DISTINCT FROM (placed.v ->> 'owner')::bigint AND (
    SELECT 1 FROM {Follow._meta.db_table} AS f JOIN {Contact._meta.db_table} AS b ON b.id = f.contact_id
    WHERE (b.id = placed.root OR b.root_id = placed.root) AND f.member_id = (placed.v ->> 'owner')::bigint
      AND f.relation = '{Relation.ACTIVE.value}' LIMIT 1) IS NULL)"""


def _has_phone(root: str, wanted: str) -> str:
    """Whether a person, or a row merged into her, has the phone that a row brings."""
    phones = f"FROM {ContactPhone._meta.db_table} AS p WHERE p.phone = {wanted} ->> 'phone' AND p.contact_id ="
    return (
        f"(SELECT 1 {phones} {root} LIMIT 1) IS NOT NULL OR (SELECT 1 FROM {Contact._meta.db_table} AS b WHERE b.root_id = {root}"
        f" AND (SELECT 1 {phones} b.id LIMIT 1) IS NOT NULL LIMIT 1) IS NOT NULL"
    )


def _goes_nowhere(changes: str) -> str:
    """Whether a row moves somebody to a stage that was put out of use since the file was read."""
    return (
        f"{changes} ? 'stage' AND (SELECT 1 FROM {Stage._meta.db_table} AS s"
        f" WHERE s.id = ({changes} -> 'stage' ->> 1)::bigint AND NOT s.is_archived) IS NULL"
    )


def _plain_change(column: str, standing: str, wanted: str) -> str:
    return (
        f"CASE WHEN placed.v ? '{column}' AND {standing} IS DISTINCT FROM {wanted} THEN"
        f" jsonb_build_object('{column}', jsonb_build_array({standing}, placed.v -> '{column}')) ELSE '{{}}' END"
    )


_CHANGES = {
    "birthday": _plain_change("birthday", "c.birthday", "(placed.v ->> 'birthday')::date"),
    "stage": _plain_change("stage", "c.stage_id", "(placed.v ->> 'stage')::bigint"),
    "owner": _plain_change("owner", "c.owner_id", "(placed.v ->> 'owner')::bigint"),
    "phone": f"""CASE WHEN placed.v ? 'phone' AND NOT ({_has_phone("placed.root", "placed.v")})
        THEN jsonb_build_object('phone', jsonb_build_array(NULL, placed.v -> 'phone')) ELSE '{{}}' END""",
}
_CUSTOM_CHANGE = """CASE WHEN placed.v ? 'custom' AND c.custom || (placed.v -> 'custom') <> c.custom THEN
    jsonb_build_object('custom', jsonb_build_array(
        COALESCE((SELECT jsonb_object_agg(k, c.custom -> k) FROM jsonb_object_keys(placed.v -> 'custom') AS k WHERE c.custom ? k), '{}'),
        placed.v -> 'custom')) ELSE '{}' END"""


def _lookups(part: Slice) -> tuple[str, list[Any]]:
    """Row → the roots its key names, for the kinds of keys that the file has. All columns of the identities' unique key.

    OFFSET 0: each row looks its own up by index; otherwise the planner may read the whole merchant for each slice.
    """
    contact = _table(Contact)
    person = f"SELECT COALESCE(root_id, id) AS root, root_id IS NULL AS is_own FROM {contact} WHERE id = i.contact_id OFFSET 0"
    pieces, params = [], []
    mapped = part.run.mapping
    if "id" in mapped:
        pieces.append(
            f"SELECT part.id, c.root, c.is_own FROM part CROSS JOIN LATERAL"
            f" (SELECT COALESCE(root_id, id) AS root, root_id IS NULL AS is_own FROM {contact} WHERE id = CASE WHEN part.key_kind = 'id' THEN part.key::bigint END OFFSET 0) AS c"
        )
    for kind in _IDENTITIES:
        if kind in mapped:
            pieces.append(
                f"SELECT part.id, c.root, c.is_own FROM part CROSS JOIN LATERAL (SELECT contact_id FROM {_table(Identity)}"
                " WHERE kind = %s AND scope = ANY(%s) AND id_space = ANY(%s) AND value = part.key OFFSET 0) AS i"
                f" CROSS JOIN LATERAL ({person}) AS c WHERE part.key_kind = %s"
            )
            params += [kind, *_scopes(kind), kind]
    if "by_phone" in mapped:
        pieces.append(
            f"SELECT part.id, c.root, c.is_own FROM part CROSS JOIN LATERAL (SELECT contact_id FROM {_table(ContactPhone)}"
            f" WHERE phone = part.key OFFSET 0) AS i CROSS JOIN LATERAL ({person}) AS c WHERE part.key_kind = 'by_phone'"
        )
    return " UNION ALL ".join(pieces), params


def _scopes(kind: str) -> tuple[list[str], list[str]]:
    corps = list(Corp.objects.values_list("corp_id", "open_account", "id_space"))
    scopes = {corp_id if kind == "external" else account for corp_id, account, _space in corps}
    spaces = {space for _corp_id, _account, space in corps} | {"plain"}
    return sorted(scopes - {None}), sorted(spaces)


def _scope(part: Slice) -> tuple[str, list[Any]]:
    """Whether a person lies in the scope of the run's owner. Nobody outside it is told apart from nobody at all."""
    scope = scope_from_json(part.run.scope)
    if scope.sees_all:
        return "TRUE", []
    sql, params = visible_contacts(scope).order_by().values("pk").query.sql_with_params()
    return f"found.root IN ({sql})", list(params)


def _table(model: type[Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


KIND = Kind(
    "contacts",
    gettext_lazy("客户资料"),
    gettext_lazy("给已有客户补写生日、阶段、归属导购、手机号和自定义字段。空单元格不改。"),
    "contacts.import",
    columns,
    People(),
    order=10,
    may_act=True,
)
