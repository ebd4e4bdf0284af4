"""An erased customer whom WeCom goes on listing: the nightly reading finds no difference and brings nothing of her back."""

from typing import Any

import pytest

from contacts.models import Contact, Follow, GroupMembership, Identity
from tagging.models import FollowTag
from tests.support.erasing import ask, traces, work
from tests.support.syncing import first_synced, sync
from wecom_bridge.models import StagedRow

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_full_reading_lets_nothing_of_her_in_and_takes_nothing_for_gone(
    wecom: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    corp = first_synced(wecom)
    row = GroupMembership.objects.filter(kind=2, contact__isnull=False, left_at=None).select_related("group").first()
    assert row is not None
    person = Contact.objects.get(pk=row.contact_id)
    external = person.identities.get(kind="external").value
    words = [external, *filter(None, [person.name if len(person.name) > 3 else ""])]
    people, relations, inside = Contact.objects.count(), Follow.objects.count(), row.group.customer_count

    assert work(ask(person)).state == "done"
    assert traces(words) == {}
    run = sync(corp)
    assert (run.state, run.drift_counts) == ("done", {})
    assert (
        traces(words) == {} and not StagedRow.objects.exists() and not FollowTag.objects.filter(contact=person).exists()
    )
    assert (Contact.objects.count(), Follow.objects.count()) == (people, relations)
    row.group.refresh_from_db()
    assert row.group.customer_count == inside and not Identity.objects.filter(value=external).exists()
    person.refresh_from_db()
    assert (person.name, person.last_added_at) == ("", None)
