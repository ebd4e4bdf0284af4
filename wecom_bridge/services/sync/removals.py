"""After a complete read: what we have and WeCom has not. A guide whose list failed or was denied takes no part in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.models import DriftRow, StagedRow, SyncRun, SyncUnit

MANY = 20  # a guide with at least so many who now has none, or a loss of more than so many and SHARE of all, is asked about
SHARE = 0.1
BATCH = 1_000

Pair = tuple[str, str]


@dataclass(frozen=True)
class Gone:
    """Relations (external_userid, userid) and groups that are no longer there; emptied: guides who lost all of many."""

    follows: list[Pair]
    groups: list[str]
    emptied: list[str]
    known: int
    known_groups: int = 0

    @property
    def is_doubtful(self) -> bool:
        too_many = len(self.follows) > max(MANY, self.known * SHARE)
        return bool(self.emptied) or too_many or len(self.groups) > max(MANY, self.known_groups * SHARE)


def find(run: SyncRun) -> Gone:
    """Compare. Only guides read completely are looked at; their counts first, their lists only where these differ."""
    inventory = c.inventory()
    if inventory is None:
        return Gone([], [], [], 0)
    ours = inventory.follow_counts(run.corp)
    read = _completely_read(run)
    suspects = [userid for userid, fetched in read.items() if ours.get(userid, 0) > fetched]
    follows: list[Pair] = []
    for start in range(0, len(suspects), 50):
        some = suspects[start : start + 50]
        theirs = _staged_keys(run, some)
        for userid, known in inventory.follows(run.corp, some).items():
            follows += [(external, userid) for external in sorted(known - theirs.get(userid, set()))]
    emptied = [userid for userid in suspects if read[userid] == 0 and ours[userid] >= MANY]
    known_groups = inventory.groups(run.corp)
    return Gone(follows, _groups(run, known_groups), emptied, sum(ours.values()), len(known_groups))


def _completely_read(run: SyncRun) -> dict[str, int]:
    settled = (SyncUnit.State.FETCHED, SyncUnit.State.EMPTY)
    rows = SyncUnit.objects.filter(run=run, kind="contacts", state__in=settled)
    return dict(rows.values_list("key", "fetched"))


def _staged_keys(run: SyncRun, userids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = StagedRow.objects.filter(run=run, kind="contacts", unit_key__in=userids)
    for userid, key in rows.values_list("unit_key", "key"):
        found.setdefault(userid, set()).add(key)
    return found


def _groups(run: SyncRun, known: Mapping[str, str]) -> list[str]:
    """None, unless every list was read. The lists are those of owners who serve: the groups of one who left live on unlisted."""
    lists = SyncUnit.objects.filter(run=run, kind="group_list")
    if not lists.exists() or lists.exclude(state=SyncUnit.State.FETCHED).exists():
        return []
    listed = set(SyncUnit.objects.filter(run=run, kind="group").values_list("key", flat=True))
    owners = set(SyncUnit.objects.filter(run=run, kind="contacts").values_list("key", flat=True))
    return sorted(chat_id for chat_id, owner in known.items() if owner in owners and chat_id not in listed)


def apply(run: SyncRun, gone: Gone) -> None:
    """Tell the handlers, and keep a list of what was found."""
    for follows, groups in _batches(gone):
        with transaction.atomic():
            source: c.Source = "backfill" if run.kind == "first" else "reconcile"
            batch = c.RemovalsBatch(run.corp, source, read_at_of(run), follows, groups)
            for handler in c.handlers_for("removals"):
                handler(batch)
            _note(run, follows, groups)


def read_at_of(run: SyncRun) -> datetime:
    """The domain instant that a run's reading speaks of: its beginning. What began while it read, it may not have seen."""
    return run.started_at + clock.offset()


def _batches(gone: Gone) -> Iterable[tuple[list[Pair], list[str]]]:
    for start in range(0, len(gone.follows), BATCH):
        yield gone.follows[start : start + BATCH], []
    if gone.groups:
        yield [], gone.groups


def _note(run: SyncRun, follows: list[Pair], groups: list[str]) -> None:
    now = clock.wall()
    keys = [("follow", f"{external}/{userid}"[:130]) for external, userid in follows]
    keys += [("group", chat_id) for chat_id in groups]
    DriftRow.objects.bulk_create(
        [DriftRow(run=run, entity=entity, key=key, kind="extra", found_at=now, repaired_at=now) for entity, key in keys]
    )
