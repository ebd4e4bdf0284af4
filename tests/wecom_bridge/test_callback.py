"""From the envelope to the committed row and the answer."""

import pytest
from django.test import Client

from tests.support.wecom import Sealed, event_xml, make_connection, seal
from wecom_bridge.models import InboundEvent

pytestmark = pytest.mark.django_db
HOST = "admin.testserver"


@pytest.fixture
def connection():
    return make_connection()


@pytest.fixture
def knock(connection):
    """Post a sealed callback to the corp's address, as WeCom does."""
    path = connection.callback_url.split("/", 3)[3]

    def post(sealed: Sealed, **extra):
        query = "&".join(f"{name}={value}" for name, value in sealed.query.items())
        return Client(HTTP_HOST=HOST).post(f"/{path}?{query}", sealed.body, content_type="text/xml", **extra)

    return post


def added(connection, **fields) -> str:
    given = {"UserID": "zhangsan", "ExternalUserID": "wmAAA", **fields}
    return event_xml(connection.corp.corp_id, "change_external_contact", "add_external_contact", **given)


def test_an_event_is_a_row_before_it_is_acknowledged(connection, knock):
    answer = knock(seal(connection, added(connection)))

    assert (answer.status_code, answer.content) == (200, b"success")
    row = InboundEvent.objects.get()
    assert (row.event, row.change_type, row.state, row.lane) == (
        "change_external_contact",
        "add_external_contact",
        "waiting",
        "inbound",
    )
    assert row.entity_key == f"{connection.corp.pk}:p:wmAAA"
