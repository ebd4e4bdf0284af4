"""Whether bringing in a file costs what its rows cost the database, and no more when the merchant is large."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import merchants, people
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.tenant import drop_tenant

_SLICE_SECONDS = 20  # of the lane, as a worker drains it
_LEVELS = ("金卡", "银卡", "普卡")

# The same staged rows into the same tables, by hand: who is meant is looked up as the product does, the rest is plain.
_BY_HAND = (
    """
    INSERT INTO contacts_detailchange (contact_id, key, before, after, changed_at)
    SELECT c.id, told.key, told.before, told.after, %(now)s
    FROM contacts_importrow AS r JOIN contacts_identity AS i ON i.kind = 'external' AND i.scope = %(corp_id)s AND i.id_space = 'plain'
        AND i.value = r.key JOIN contacts_contact AS c ON c.id = i.contact_id
    CROSS JOIN LATERAL (VALUES
        ('contact.birthday', to_jsonb(c.birthday), r.values -> 'birthday'), ('contact.phone', NULL, r.values -> 'phone'),
        ('level', c.custom -> 'level', r.values -> 'custom' -> 'level')
    ) AS told (key, before, after)
    WHERE r.run_id = %(run)s
    """,
    """
    INSERT INTO contacts_timelineevent (kind, occurred_at, recorded_at, source, contact_id, stage_id, actor, subject, payload, fact_key)
    SELECT 'details.changed', %(now)s, %(now)s, 'import', c.id, c.stage_id, 'system', '',
        '{"fields": ["contact.birthday", "contact.phone", "level"]}'::jsonb, concat('details:', c.id, ':', %(stamp)s::text)
    FROM contacts_importrow AS r JOIN contacts_identity AS i ON i.kind = 'external' AND i.scope = %(corp_id)s AND i.id_space = 'plain'
        AND i.value = r.key JOIN contacts_contact AS c ON c.id = i.contact_id
    WHERE r.run_id = %(run)s ON CONFLICT DO NOTHING
    """,
    """
    UPDATE contacts_contact AS c SET birthday = (r.values ->> 'birthday')::date, custom = c.custom || (r.values -> 'custom'),
        search_text = CASE WHEN position(right(r.values ->> 'phone', 4) IN c.search_text) > 0 THEN c.search_text
            ELSE c.search_text || ' ' || right(r.values ->> 'phone', 4) END, updated_at = %(now)s
    FROM contacts_importrow AS r JOIN contacts_identity AS i ON i.kind = 'external' AND i.scope = %(corp_id)s AND i.id_space = 'plain'
        AND i.value = r.key
    WHERE r.run_id = %(run)s AND c.id = i.contact_id
    """,
    """
    INSERT INTO contacts_contactphone (contact_id, phone, source, created_at)
    SELECT i.contact_id, r.values ->> 'phone', 'import', %(now)s
    FROM contacts_importrow AS r JOIN contacts_identity AS i ON i.kind = 'external' AND i.scope = %(corp_id)s AND i.id_space = 'plain'
        AND i.value = r.key
    WHERE r.run_id = %(run)s ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO conditions_dirtymark (contact_id, field_key, marked_at, not_before, is_backfill)
    SELECT i.contact_id, keys.field_key, %(now)s, NULL, true
    FROM contacts_importrow AS r JOIN contacts_identity AS i ON i.kind = 'external' AND i.scope = %(corp_id)s AND i.id_space = 'plain'
        AND i.value = r.key
    CROSS JOIN (VALUES ('birthday'), ('custom.level'), ('event.details.changed')) AS keys (field_key)
    WHERE r.run_id = %(run)s
    """,
)
_LEFT_BEHIND = ("contacts_importrow", "conditions_dirtymark", "contacts_detailchange", "contacts_timelineevent")
_LEFT = """
SELECT (SELECT md5(string_agg(concat_ws('|', id, birthday, custom, search_text), ',' ORDER BY id)) FROM contacts_contact),
    (SELECT md5(string_agg(concat_ws('|', contact_id, phone, source), ',' ORDER BY contact_id, phone)) FROM contacts_contactphone),
    (SELECT md5(string_agg(concat_ws('|', contact_id, field_key, is_backfill), ',' ORDER BY contact_id, field_key))
     FROM conditions_dirtymark),
    (SELECT md5(string_agg(concat_ws('|', contact_id, key, before, after), ',' ORDER BY contact_id, key)) FROM contacts_detailchange),
    (SELECT md5(string_agg(concat_ws('|', contact_id, kind, source, stage_id, actor, subject, payload), ',' ORDER BY contact_id))
     FROM contacts_timelineevent)
"""


def write_file(path: Path, ids: range, round_number: int) -> None:
    """A file of people by external_userid, with a birthday, a phone and a custom field that no earlier round brought."""
    day, first = date(1960, 1, 1) + timedelta(days=round_number), (round_number + 2) * 10_000_000
    with path.open("w", encoding="utf-8") as file:
        file.write("external_userid,生日,新增手机号,custom.level\n")
        for number, pk in enumerate(ids):
            birthday = day + timedelta(days=number % 9000)
            file.write(
                f"wm{pk},{birthday},13{first + number:09d},{_LEVELS[(number + round_number) % 3]}{round_number}\n"
            )


def upload(path: Path) -> Any:
    """A run of the file, its columns matched, nothing read yet."""
    from django.core.files.uploadedfile import TemporaryUploadedFile

    from accounts.scope import EVERYTHING
    from contacts.services.imports import running
    from contacts.services.imports.registry import import_kind
    from tenants.audit import SYSTEM

    with TemporaryUploadedFile(path.name, "text/csv", path.stat().st_size, "utf-8") as kept:
        kept.write(path.read_bytes())
        kept.seek(0)
        return running.take_upload(import_kind("contacts"), kept, EVERYTHING, by=SYSTEM)


def work() -> None:
    """The lane, in slices as a worker's."""
    from contacts import longjobs
    from scrm.lib import clock

    while longjobs.drain(clock.wall() + timedelta(seconds=_SLICE_SECONDS)):
        pass


def bring_in(run: Any, rows: int) -> tuple[float, float]:
    """(seconds of reading and trying, seconds of writing) of a run. Raises Unfair when a row did not come in."""
    from contacts.services.imports import running
    from tenants.audit import SYSTEM

    with Stopwatch() as tried:
        running.check(run.pk, run.mapping, by=SYSTEM)
        work()
    with Stopwatch() as written:
        running.start(run.pk, acts=False, by=SYSTEM)
        work()
    run.refresh_from_db()
    if run.state != "done" or run.rows_updated != rows:
        raise Unfair(f"{run.state}: {run.rows_updated} of {rows} rows came in")
    return tried.seconds, written.seconds


def clean(*, phones: bool) -> None:
    """What earlier rounds left behind: their rows, marks and dead versions."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in (*_LEFT_BEHIND, *(("contacts_contactphone",) if phones else ())):
            cursor.execute(f"TRUNCATE {table}")
        cursor.execute("VACUUM (ANALYZE) contacts_contact, contacts_contactphone")
        cursor.execute("CHECKPOINT")


class _Imports(Benchmark):
    def make(self, sides: dict[str, int]) -> None:
        merchants.migrate_public()
        self.detail |= {"server": require_durable_server(), "parts": []}
        self.tenants = {side: people.make_merchant(f"bench-import-{side}", size) for side, size in sides.items()}

    def close(self) -> None:
        for tenant in getattr(self, "tenants", {}).values():
            drop_tenant(tenant)


class ImportContacts(_Imports):
    """From the staged rows to the last one written, on both sides: judged anew, applied, counted, in slices that a crash would go on from.

    `detail` also has the seconds of reading the file and trying it, and the rate with them against the same yardstick.
    """

    name: ClassVar[str] = "import_contacts"
    goal: ClassVar[float] = 0.5
    better: ClassVar = "higher"
    baseline: ClassVar[str] = "the rate of the same staged rows written by hand-written statements into the same tables"
    scale: ClassVar[int] = 500_000
    quick_scale: ClassVar[int] = 10_000

    def prepare(self) -> None:
        self.make({"product": self.size, "hand": self.size})
        self.left: dict[str, Any] = {}

    def _file(self, side: str, round_number: int) -> Any:
        from tenants.paths import tenant_dir

        path = tenant_dir("bench") / "people.csv"
        write_file(path, range(1, self.size + 1), round_number)
        clean(phones=True)
        return upload(path)

    def measure_subject(self, round_number: int) -> float:
        from tenants.context import tenant_scope

        with tenant_scope(self.tenants["product"]):
            tried, written = bring_in(self._file("product", round_number), self.size)
            self.detail["parts"].append({"read_and_tried": round(tried, 2), "written": round(written, 2)})
            self.whole = tried + written
            self.left["product"] = _left()
        return self.size / written

    def measure_baseline(self, round_number: int) -> float:
        from django.db import connection, transaction

        from contacts.services.imports import files, staging
        from scrm.lib import clock
        from tenants.context import tenant_scope
        from wecom_bridge.models import Corp

        with tenant_scope(self.tenants["hand"]):
            run = self._file("hand", round_number)
            files.remember(run)
            staging.stage(run, clock.wall() + timedelta(hours=1), lambda rows: None)
            now = clock.now()
            given = {
                "run": run.pk,
                "now": now,
                "stamp": int(now.timestamp() * 1_000_000),
                "corp_id": Corp.objects.get().corp_id,
            }
            with Stopwatch() as watch, transaction.atomic(), connection.cursor() as cursor:
                for statement in _BY_HAND:
                    cursor.execute(statement, given)
            self.by_hand = watch.seconds
            self.left["hand"] = _left()
        return self.size / watch.seconds

    def compare(self) -> None:
        if self.left["product"] != self.left["hand"]:
            raise Unfair(f"not the same rows: {self.left}")
        self.detail["parts"][-1]["ratio_with_reading_and_trial"] = round(self.by_hand / self.whole, 3)


class ImportFlat(_Imports):
    """The same file for a merchant with a million customers, each with a phone, and for one who has none but those of the file.

    Its people stand beside each other in both, as the newest customers do: how far apart rows lie is the disk's matter, what is
    asked here is whether a slice looks at more than its own.
    """

    name: ClassVar[str] = "import_flat"
    goal: ClassVar[float] = 0.8
    better: ClassVar = "higher"
    baseline: ClassVar[str] = "the rate of the same import where there is nobody else and no phone"
    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 50_000
    rows: ClassVar[int] = 20_000

    def prepare(self) -> None:
        from django.db import connection

        from tenants.context import tenant_scope

        self.make({"full": self.size, "empty": self.rows})
        self.detail["rows"] = self.rows
        with tenant_scope(self.tenants["full"]), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO contacts_contactphone (contact_id, phone, source, created_at)"
                " SELECT id, '+8618' || lpad(id::text, 9, '0'), 'order', created_at FROM contacts_contact"
            )

    def measure_subject(self, round_number: int) -> float:
        return self._measure("full", range(self.size - self.rows + 1, self.size + 1), round_number)

    def measure_baseline(self, round_number: int) -> float:
        return self._measure("empty", range(1, self.rows + 1), round_number)

    def _measure(self, side: str, ids: range, round_number: int) -> float:
        from tenants.context import tenant_scope
        from tenants.paths import tenant_dir

        with tenant_scope(self.tenants[side]):
            path = tenant_dir("bench") / "people.csv"
            write_file(path, ids, round_number)
            clean(phones=side == "empty")
            tried, written = bring_in(upload(path), self.rows)
        self.detail["parts"].append({"side": side, "read_and_tried": round(tried, 2), "written": round(written, 2)})
        return self.rows / (tried + written)


def _left() -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_LEFT)
        return cursor.fetchone()
