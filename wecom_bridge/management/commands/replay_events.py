"""`manage.py replay_events --tenant … --since … --until … --event …`: handle a range of callbacks once more."""

import os
from argparse import ArgumentParser
from datetime import datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant
from wecom_bridge.models import Corp, InboundEvent
from wecom_bridge.selection import Selection, count_by_event, replayable
from wecom_bridge.services.replay import replay


class Command(BaseCommand):
    """Without any condition nothing is replayed: a merchant's whole month is not chosen by leaving something out."""

    help = (
        "Handle settled callbacks of a tenant once more. Facts stay single; no welcome and no message is caused. "
        "Times are of receipt, in the tenant's time zone unless they name one: 2026-11-27T08:00 or 2026-11-27."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--since", help="received at or after")
        parser.add_argument("--until", help="received before")
        parser.add_argument("--first-id", type=int)
        parser.add_argument("--last-id", type=int)
        parser.add_argument("--corp", default="", help="CorpID")
        parser.add_argument("--event", default="", help="e.g. change_external_contact")
        parser.add_argument("--change-type", default="", help="e.g. add_external_contact")
        parser.add_argument("--state", default="", choices=["", "done", "ignored", "parked"])
        parser.add_argument("--dry-run", action="store_true", help="say what would be replayed, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        with public_scope():
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"no tenant {options['tenant']}")
        with tenant_scope(tenant), timezone.override(tenant.time_zone):
            self._replay(_selection(options), dry_run=options["dry_run"])

    def _replay(self, chosen: Selection, *, dry_run: bool) -> None:
        for event, change_type, count in count_by_event(chosen):
            self.stdout.write(f"{count:>8}  {event} {change_type}".rstrip())
        if dry_run:
            total = replayable(chosen).count()
            self.stdout.write(f"{total} would be replayed; nothing was changed")
            return
        done = replay(chosen, by=Actor("system", name=os.environ.get("USER", "")))
        self.stdout.write(f"{done} are handled once more")


def _selection(options: dict[str, Any]) -> Selection:
    conditions = ("since", "until", "first_id", "last_id", "corp", "event", "change_type", "state")
    if not any(options[name] for name in conditions):
        raise CommandError("name at least one condition, e.g. --state parked or --since 2026-11-27")
    corp = Corp.objects.filter(corp_id=options["corp"]).first() if options["corp"] else None
    if options["corp"] and corp is None:
        raise CommandError(f"no corp {options['corp']} in this tenant")
    return Selection(
        first_id=options["first_id"],
        last_id=options["last_id"],
        since=_instant(options["since"]),
        until=_instant(options["until"]),
        corp_id=corp.pk if corp else None,
        event=options["event"],
        change_type=options["change_type"],
        state=InboundEvent.State(options["state"]).value if options["state"] else "",
    )


def _instant(text: str | None) -> datetime | None:
    """Raises CommandError for what is neither an instant nor a day."""
    if not text:
        return None
    try:
        day = parse_date(text)
        found = datetime.combine(day, time.min) if day else parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"not a time: {text} (2026-11-27T08:00 or 2026-11-27)")
    return found if timezone.is_aware(found) else timezone.make_aware(found)
