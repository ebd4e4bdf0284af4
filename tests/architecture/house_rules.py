"""House rules as patterns, each with lines it must catch and lines it must let pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "scrm", "tenants", "accounts", "wecom_bridge", "conditions", "contacts", "commerce", "tagging", "links", "campaigns",
    "acquisition", "analytics", "console", "demo",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """pattern is searched in each line of each Python file below PACKAGES whose path matches `where` and not `but`."""

    name: str
    pattern: str
    instead: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    where: str = r".*"
    but: str = r"(?!)"

    def finds(self, line: str) -> bool:
        return re.search(self.pattern, line) is not None and "# house:" not in line

    def covers(self, path: str) -> bool:
        return re.search(self.where, path) is not None and re.search(self.but, path) is None


RULES = (
    Rule(
        "clock",
        r"\bdatetime\.(utc)?now\(|\btimezone\.now\b|\bdate\.today\(|(?<![\w.])time\.time\(",
        "scrm.lib.clock.now() for domain time, clock.wall() for leases and time-outs",
        (
            "at = datetime.now(UTC)",
            "timezone.now()",
            "default=timezone.now",
            "day = date.today()",
            "began = time.time()",
        ),
        ("at = clock.now()", "clock.wall()", "time.monotonic()", "from django.utils import timezone"),
        but=r"^scrm/(lib/clock\.py|lib/db/auth_migrations/|runtime/)",
    ),
    Rule(
        "update_fields",
        r"\.save\(\s*\)",
        "save(update_fields=[...]), or objects.create() / save(force_insert=True) for a new row",
        ("row.save()", "    self.user.save( )"),
        (
            'row.save(update_fields=["state"])',
            "row.save(force_insert=True)",
            "form.save(commit=False)",
            "session.save_all()",
        ),
        where=r"(services|queries|tasks|handlers|drains|lanes)",
        but=r"accounts/services/sessions\.py",  # the browser's session is no row of ours
    ),
    Rule(
        "sql_clock",
        r"\bCURRENT_(TIMESTAMP|DATE|TIME)\b|\bNOW\(\)|\bNow\(\)|(?<![\w.])now\(\)|\b(clock|statement|transaction)_timestamp\(",
        "pass clock.now() or clock.wall() as a parameter",
        (
            "WHERE at < now()",
            "SET at = NOW()",
            "due_at__lte=Now()",
            "DEFAULT CURRENT_TIMESTAMP",
            "SELECT clock_timestamp()",
        ),
        ("at = clock.now()", "now = clock.wall()", "self._now()", "how it is now (see below)"),
        but=r"^scrm/lib/clock\.py",
    ),
    Rule(
        "positive_fields",
        r"\bPositive(Small|Big)?IntegerField\b",
        "IntegerField or BigIntegerField, with a named CheckConstraint where it matters",
        ("n = models.PositiveIntegerField()", "PositiveSmallIntegerField(default=0)"),
        ("n = models.BigIntegerField()",),
    ),
    Rule(
        "scopes",
        r"\b(schema_context|tenant_context|schema_rename)\b|\.set_(tenant|schema|schema_to_public)\(",
        "tenants.context.tenant_scope() and public_scope()",
        ("with schema_context(name):", "connection.set_tenant(row)", "connection.set_schema_to_public()"),
        ("with tenant_scope(row):", "def set_tenants_clock("),
        but=r"^tenants/context\.py",
    ),
    Rule(
        "queue",
        r"\.(delay|apply_async|send_task)\(",
        "tenants.jobs.nudge(), or scrm.lib.queue.send() for a task that is no lane",
        ("drain.delay(1)", "task.apply_async(kwargs={})", "app.send_task('x')"),
        ('jobs.nudge("inbound")', "delay(3)"),
        but=r"^scrm/lib/queue\.py",
    ),
    Rule(
        "signals",
        r"@receiver\b|\b(pre|post)_(save|delete|init)\b|\bm2m_changed\b",
        "a registry of the lower layer, filled in AppConfig.ready()",
        ("@receiver(post_save)", "post_save.connect(f)", "m2m_changed.connect(f)"),
        ("post_migrate.disconnect(f)", "def post_saved_view("),
    ),
    Rule(
        "locks",
        r"\bpg_(try_)?advisory",
        "tenants.locks, whose keys carry the tenant",
        ("SELECT pg_advisory_xact_lock(1)", "pg_try_advisory_lock(%s)"),
        ("lock_in_transaction('x')",),
        but=r"^tenants/locks\.py",
    ),
    Rule(
        "constraint_names",
        r"\bdiag\.(constraint|table|schema)_name",
        "the SQLSTATE: on many nodes the names are absent or carry a suffix",
        ("if error.diag.constraint_name == 'x':",),
        ("error.__cause__.pgcode == '23505'",),
    ),
    Rule(
        "volatile_sql",
        r"\bgen_random_uuid\(|\bRANDOM\(\)|(?<![\w.])Random\(\)|\bRandomUUID\(",
        "make the value in Python",
        ("SET x = gen_random_uuid()", "ORDER BY RANDOM()", "order_by(Random())"),
        ("dice = random.Random(seed)", "random.random()"),
    ),
    Rule(
        "database_code",
        r"\bCREATE (OR REPLACE )?(CONSTRAINT )?(TRIGGER|FUNCTION|PROCEDURE)\b|\bDO \$",
        "code in the application: a trigger or a function that reads tables does not survive distribution",
        ("CREATE TRIGGER t AFTER INSERT", "CREATE OR REPLACE FUNCTION f()", "DO $$ BEGIN"),
        ("CREATE TABLE t ()", "CREATE INDEX"),
        but=r"^scrm/runtime/",
    ),
    Rule(
        "sql_lists",
        r"\bRunSQL\(\s*[\"'fr]",
        "RunSQL takes a list: one statement each",
        ('migrations.RunSQL("SELECT 1; SELECT 2")', "RunSQL(f'CREATE')"),
        ('migrations.RunSQL(["SELECT 1"])', "migrations.RunSQL("),
    ),
    Rule(
        "deferred_constraints",
        r"\bdeferrable\s*=|\bDeferrable\.|\bDEFERRABLE\b|\bSET CONSTRAINTS\b",
        "constraints that hold at each statement: a violation at COMMIT is no IntegrityError on many nodes",
        ("deferrable=Deferrable.DEFERRED", "INITIALLY DEFERRED DEFERRABLE", "SET CONSTRAINTS ALL IMMEDIATE"),
        ("def deferrable_sql(self):",),
        but=r"^scrm/lib/db/",
    ),
)


def sources() -> Iterator[Path]:
    """Every Python file of the product."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def violations(rule: Rule) -> list[str]:
    """`path:line: text` of each line the rule finds. `# house: why` at a line's end lets it pass."""
    found = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if not rule.covers(name):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("  # ")[0] if "# house:" not in line else line
            if rule.finds(code) and not line.lstrip().startswith("#"):
                found.append(f"{name}:{number}: {line.strip()}")
    return found
