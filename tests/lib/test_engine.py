"""Deleting through foreign keys that hold at each statement."""

import pytest

from campaigns.models import WelcomeTemplate
from contacts.models import Store
from scrm.lib import clock
from tagging.models import Tag, TagGroup
from wecom_bridge.models import Corp

pytestmark = pytest.mark.django_db


def test_a_store_goes_with_the_welcome_that_points_at_it(acme):
    store = Store.objects.create(code="S1", name="一店")
    WelcomeTemplate.objects.create(name="店里的", text="你好", store=store, created_at=clock.wall())
    kept = WelcomeTemplate.objects.create(name="大家的", text="你好", created_at=clock.wall())

    store.delete()

    assert list(WelcomeTemplate.objects.all()) == [kept]


@pytest.mark.parametrize("kind", TagGroup.Kind.values)
def test_a_corp_goes_with_its_tags(acme, kind):
    corp = Corp.objects.create(corp_id="wwgone", name="x", created_at=clock.wall())
    group = TagGroup.objects.create(kind=kind, corp=corp, name="g")
    Tag.objects.create(group=group, name="t")

    corp.delete()

    assert not TagGroup.objects.exists() and not Tag.objects.exists()
