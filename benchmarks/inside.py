"""What a benchmark asks for inside a load stack: `python -m benchmarks.inside FUNCTION JSON`."""

import json
import os
import sys
from typing import Any


def open_merchant(slug: str, corp: dict[str, Any]) -> dict[str, Any]:
    """A merchant with the corp connected and an enabled welcome."""
    from benchmarks.tenant import make_tenant
    from campaigns.models import WelcomeTemplate
    from campaigns.services import welcomes
    from tenants.audit import SYSTEM
    from tenants.context import tenant_scope
    from wecom_bridge.services.corps import connect_corp

    tenant = make_tenant(slug)
    with tenant_scope(tenant):
        made = connect_corp(
            corp_id=corp["corp_id"], name=slug, agent_id=str(corp["agent_id"]), secret=corp["secret"],
            token=corp["token"], encoding_aes_key=corp["encoding_aes_key"], by=SYSTEM,
        )  # fmt: skip
        welcomes.save_template(
            WelcomeTemplate.objects.filter(is_default=True).first(), name="默认欢迎语", text="欢迎光临。", neutral_text="",
            attachments=[], store=None, state="", priority=0, is_default=True, is_enabled=True, by=SYSTEM,
        )  # fmt: skip
    callback = {"url": made.callback_url, "token": made.token, "encoding_aes_key": made.encoding_aes_key}
    return {"slug": slug, "schema": tenant.schema_name, "corp_pk": made.corp.pk, "callback": callback}


def flood(slug: str, file: str) -> int:
    """One waiting event for each (userid, external_userid) of a JSON file, as the callback route would have stored them."""
    from datetime import timedelta
    from pathlib import Path

    from scrm.lib import clock
    from tenants import jobs
    from tenants.context import tenant_scope
    from tenants.models import Tenant
    from tests.support.wecom import event_xml
    from wecom_bridge.callbacks import parsing, rows
    from wecom_bridge.models import Corp, InboundEvent

    pairs = json.loads(Path(file).read_text())
    with tenant_scope(Tenant.objects.get(slug=slug)):
        corp = Corp.objects.get()
        names = (
            "corp_id", "digest", "lane", "event", "change_type", "entity_key", "body", "occurred_at", "received_at", "state",
            "attempts", "next_attempt_at", "settled_at", "last_error",
        )  # fmt: skip
        made = []
        for userid, external in pairs:
            xml = event_xml(
                corp.corp_id, "change_external_contact", "edit_external_contact", UserID=userid, ExternalUserID=external
            ).encode()
            row, _due = rows.build(corp.pk, parsing.understand(xml, clock.now()), xml)
            made.append(InboundEvent(**dict(zip(names, row, strict=True))))
        InboundEvent.objects.bulk_create(made, batch_size=5_000)
        jobs.nudge("inbound", due_at=clock.now() - timedelta(seconds=1))
    return len(made)


def start_sync(slug: str) -> int:
    """A full read, or the one under way."""
    from tenants.audit import SYSTEM
    from tenants.context import tenant_scope
    from tenants.models import Tenant
    from wecom_bridge.models import Corp
    from wecom_bridge.services.sync import start_sync

    with tenant_scope(Tenant.objects.get(slug=slug)):
        return int(start_sync(Corp.objects.get(), by=SYSTEM).pk)


def export_peak(slug: str) -> dict[str, int]:
    """Everybody of a merchant in a file: rows, and the peak memory of this process."""
    from benchmarks.exports import peak_of_export

    return peak_of_export(slug)


def main() -> None:
    import django

    django.setup()
    function, given = sys.argv[1:3]
    print(json.dumps(globals()[function](**json.loads(given)), default=str))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    main()
