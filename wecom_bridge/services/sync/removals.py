"""After a complete read: what we have and WeCom has not. A guide whose list failed or was denied takes no part in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.comparing import Difference
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.gateway.errors import GROUP_GONE
from wecom_bridge.models import DriftRow, StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.sync import telling
from wecom_bridge.services.sync.pause import is_refusal

TOLD = "told"  # a kind of staged row: the pair was told before its page was written
MANY = 20  # a guide with at least so many who now has none, or a loss of more than so many and SHARE of all, is asked about
SHARE = 0.1
ASKED = 50  # groups asked for by name in one run
BATCH = 1_000
PAIRS = 100_000  # relations compared at a time: each time reads the staged pairs once, and holds both sides in memory

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


def find(run: SyncRun, gateway: Gateway) -> Gone:
    """Compare. Only guides read completely are looked at. What began or was read again since this reading is not spoken of.

    May call, for groups; raises CallError.
    """
    inventory = c.inventory()
    if inventory is None:
        return Gone([], [], [], 0)
    ours = inventory.follow_counts(run.corp)
    newer, newer_groups = inventory.newer(run.corp, read_at_of(run))
    read = _completely_read(run)
    suspects = [userid for userid, fetched in read.items() if _is_suspect(run, ours.get(userid, 0), fetched)]
    follows: list[Pair] = []
    emptied: list[str] = []
    for some in _portions(suspects, ours):
        theirs = _staged_keys(run, some)
        for userid, known in inventory.follows(run.corp, some).items():
            gone = [(external, userid) for external in sorted(known - theirs.get(userid, set()))]
            gone = [pair for pair in gone if pair not in newer]
            follows += gone
            emptied += [userid] if read[userid] == 0 and len(gone) >= MANY else []
    known_groups = inventory.groups(run.corp)
    groups = [chat_id for chat_id in _groups(run, known_groups) if chat_id not in newer_groups]
    start = run.pk * ASKED % max(len(groups), 1)  # others first in each run, so that all have their turn
    asked = sorted((groups[start:] + groups[:start])[:ASKED])
    groups = [chat_id for chat_id in asked if _is_dissolved(gateway, chat_id)]
    return Gone(follows, groups, emptied, sum(ours.values()), len(known_groups))


def _portions(userids: Sequence[str], ours: Mapping[str, int]) -> Iterable[list[str]]:
    """Guides, so many at a time as have PAIRS relations together, but one at least."""
    some: list[str] = []
    pairs = 0
    for userid in userids:
        if some and pairs + ours.get(userid, 0) > PAIRS:
            yield some
            some, pairs = [], 0
        some.append(userid)
        pairs += ours.get(userid, 0)
    if some:
        yield some


def _is_dissolved(gateway: Gateway, chat_id: str) -> bool:
    """Lists that do not name a group prove nothing: its owner may be another since, who serves nobody or whose list was read
    before. So it is asked for by name, and only WeCom's "gone" means gone."""
    try:
        gateway.get_group(chat_id)
    except CallError as error:
        if error.held and not is_refusal(error):
            raise
        return error.errcode == GROUP_GONE
    return False


def _is_suspect(run: SyncRun, ours: int, fetched: int) -> bool:
    """After a first sync counts are enough: all that was read is written. Later, a list may hold what we know as ended."""
    return ours > fetched if run.kind == SyncRun.Kind.FIRST else ours > 0


def _completely_read(run: SyncRun) -> dict[str, int]:
    settled = (SyncUnit.State.FETCHED, SyncUnit.State.EMPTY)
    rows = SyncUnit.objects.filter(run=run, kind="contacts", state__in=settled)
    return dict(rows.values_list("key", "fetched"))


def _staged_keys(run: SyncRun, userids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = StagedRow.objects.filter(run=run, kind__in=("contacts", TOLD), unit_key__in=userids)
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


def apply(run: SyncRun, gone: Gone, gateway: Gateway, deadline: datetime) -> bool:
    """Tell the handlers, and keep a list of what was found and whether it is settled with that. False when the slice was over first:
    what is told by then, a batch at least, is not found again."""
    noted = bool(run.shrink)  # a person was asked, and saw the list
    for number, (follows, groups) in enumerate(_batches(gone)):
        if number and clock.wall() >= deadline:
            return False
        with transaction.atomic():
            source: c.Source = "backfill" if run.kind == SyncRun.Kind.FIRST else "reconcile"
            batch = c.RemovalsBatch(run.corp, source, read_at_of(run), follows, groups)
            for handler in c.handlers_for("removals"):
                handler(batch)
            if not noted:
                telling.note(run, _differences(follows, groups), left=_left(run, follows, groups))
    if noted:
        _mark_repaired(run, find(run, gateway))
    return True


def list_only(run: SyncRun, gone: Gone) -> None:
    """Keep the list, and change nothing."""
    for follows, groups in _batches(gone):
        with transaction.atomic():
            telling.note(run, _differences(follows, groups))


def read_at_of(run: SyncRun) -> datetime:
    """The domain instant that a run's reading speaks of: its beginning. What began while it read, it may not have seen."""
    return run.read_at or run.started_at + clock.offset()


def _batches(gone: Gone) -> Iterable[tuple[list[Pair], list[str]]]:
    for start in range(0, len(gone.follows), BATCH):
        yield gone.follows[start : start + BATCH], []
    if gone.groups:
        yield [], gone.groups


def _differences(follows: Iterable[Pair], groups: Iterable[str]) -> list[Difference]:
    pairs = [Difference("follow", "/".join(pair), "extra") for pair in follows]
    return pairs + [Difference("group", chat_id, "extra") for chat_id in groups]


def _left(run: SyncRun, follows: Sequence[Pair], groups: Sequence[str]) -> set[tuple[str, str]]:
    """What is still with us after the handlers heard of it."""
    inventory = c.inventory()
    if inventory is None:
        return set()
    still = inventory.groups(run.corp) if groups else {}
    left = {("follow", "/".join(pair)) for pair in (inventory.standing(run.corp, follows) if follows else ())}
    return left | {("group", chat_id) for chat_id in groups if chat_id in still}


@transaction.atomic
def _mark_repaired(run: SyncRun, left: Gone) -> None:
    """The rows noted when the run stopped to ask: all are settled but what a second look still finds."""
    still = {("follow", "/".join(pair)) for pair in left.follows} | {("group", chat_id) for chat_id in left.groups}
    rows = DriftRow.objects.filter(run=run, kind="extra", repaired_at=None, entity__in=("follow", "group"))
    done = [row.pk for row in rows.only("pk", "entity", "key") if (row.entity, row.key) not in still]
    DriftRow.objects.filter(pk__in=done).update(repaired_at=clock.wall())
    counts = dict(SyncRun.objects.select_for_update().values_list("drift_counts", flat=True).get(pk=run.pk))
    for entity, asked, count in (
        ("follow", run.shrink.get("follows", 0), len(left.follows)),
        ("group", run.shrink.get("groups", 0), len(left.groups)),
    ):
        if done and entity in counts:  # else a worker before this one has counted them
            counts[entity]["repaired"] = counts[entity].get("repaired", 0) + max(asked - count, 0)
    telling.save_counts(run, counts)
