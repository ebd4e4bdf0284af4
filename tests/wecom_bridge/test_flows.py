"""Contracts of the kinds of credentials: a kind brings its token, its callbacks' receiver and its ids, and nothing else asks for it."""

from datetime import timedelta

import pytest
from django.db import transaction

from contacts.models import Follow, GroupChat, GroupMembership, Identity, Member
from scrm.lib import clock
from tests.support import contacts
from tests.support.wecom import Sealed, event_xml
from wecom_bridge import contracts as c
from wecom_bridge.callbacks import parsing, routes
from wecom_bridge.callbacks.envelope import open_envelope
from wecom_bridge.callbacks.sealing import seal
from wecom_bridge.comparing import find_differences
from wecom_bridge.gateway import CallError, flows, gateway_for, tokens
from wecom_bridge.models import CorpCredential
from wecom_bridge.services.sync import nightly

pytestmark = pytest.mark.django_db(transaction=True)
SUITE = "suite"
SUITE_ID = "dkTestSuite"


class SuiteFlow:
    """A provider's app: the token comes from get_corp_token, by the ciphertext corp id and the permanent code (reference B.1);
    instruction callbacks are sealed for the suite."""

    def fetch(self, client, credential, secret):
        return client.ask_plainly(
            "POST",
            "service/get_corp_token",
            params={"suite_access_token": "sat_test"},
            json={"auth_corpid": client.corp_id, "permanent_code": secret},
        )

    def receiver(self, credential):
        return SUITE_ID


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.setattr(flows, "_flows", dict(flows._flows))
    flows.register(SUITE, SuiteFlow())


def real_token(wecom):
    """A token that the simulator accepts, as get_corp_token would give one."""
    plain = wecom.connect().corp
    gateway_for(plain).warm_token()
    value = CorpCredential.objects.get(corp=plain).access_token
    plain.delete()
    tokens._known.clear()
    tokens._asked.clear()
    return value


def corp_of(wecom, kind):
    """(corp, the endpoint its token comes from) for a credential of a kind, against the simulator."""
    if kind == CorpCredential.Kind.APP:
        return wecom.connect().corp, "gettoken"
    answer = {"access_token": real_token(wecom), "expires_in": 7200}  # errcode may be absent (reference B.1)
    wecom.script("service/get_corp_token", body=answer, times=50)
    corp = wecom.connect(corp_id="wpCiphertextOfACorp", secret="permanent-code").corp
    CorpCredential.objects.filter(corp=corp).update(kind=SUITE, id_space="suite:dkTestSuite")
    return corp, "service/get_corp_token"


EACH_KIND = pytest.mark.parametrize("kind", [CorpCredential.Kind.APP, SUITE])


@EACH_KIND
def test_a_call_gets_its_token_the_way_of_its_kind(wecom, suite, kind):
    corp, endpoint = corp_of(wecom, kind)
    before = len(wecom.calls("gettoken"))
    assert len(gateway_for(corp).get_follow_users()) == 4
    assert len(wecom.calls(endpoint)) == (before + 1 if endpoint == "gettoken" else 1)
    if kind == SUITE:
        assert len(wecom.calls("gettoken")) == before, "a provider's app never asks gettoken with its code"
        asked = wecom.calls(endpoint)[0]["args"]
        assert asked["auth_corpid"] == "wpCiphertextOfACorp" and asked["permanent_code"] == "permanent-code"


@EACH_KIND
def test_a_token_is_fetched_once_and_kept_in_its_row(wecom, suite, kind):
    corp, endpoint = corp_of(wecom, kind)
    for _n in range(3):
        gateway_for(corp).get_follow_users()
        tokens._known.clear()
    credential = CorpCredential.objects.get(corp=corp)
    assert credential.access_token and credential.access_token_expires_at > clock.wall()
    assert (
        len([one for one in wecom.calls(endpoint) if kind == SUITE or one["args"].get("corpid") == corp.corp_id]) == 1
    )


@EACH_KIND
def test_a_refused_token_is_replaced_the_same_way(wecom, suite, kind):
    corp, endpoint = corp_of(wecom, kind)
    gateway_for(corp).get_follow_users()
    before = len(wecom.calls(endpoint))
    wecom.script("externalcontact/get_follow_user_list", errcode=42001)
    assert gateway_for(corp).get_follow_users()
    assert len(wecom.calls(endpoint)) == before + 1


@EACH_KIND
def test_a_refused_secret_opens_the_breaker(wecom, suite, kind):
    corp, endpoint = corp_of(wecom, kind)
    wecom.post("reset", {})
    wecom.script(endpoint, errcode=40001, times=9)
    for _n in range(3):
        with pytest.raises(CallError) as refused:
            gateway_for(corp).get_follow_users()
        assert refused.value.held
    assert len(wecom.calls(endpoint)) == 1


@EACH_KIND
def test_callbacks_are_opened_for_the_receiver_of_the_kind(wecom, suite, kind):
    corp, _endpoint = corp_of(wecom, kind)
    credential = CorpCredential.objects.get(corp=corp)
    opaque = routes.CallbackRoute.objects.get(credential_pk=credential.pk).opaque
    keys = routes.find(opaque).keys
    assert keys.corp_id == (SUITE_ID if kind == SUITE else corp.corp_id)

    xml = event_xml(keys.corp_id, "change_external_contact", "add_external_contact", UserID="a", ExternalUserID="wm1")
    sealed = seal(keys, xml.encode(), timestamp="1", nonce="2")
    given = {"given": sealed.query["msg_signature"], "timestamp": "1", "nonce": "2"}
    plain = open_envelope(keys, encrypted=parsing.encrypted_part(Sealed(sealed.query, sealed.body).body), **given)
    assert plain == xml.encode()


def test_a_kind_without_a_flow_speaks_for_nobody(wecom):
    corp = wecom.connect().corp
    CorpCredential.objects.filter(corp=corp).update(kind="archive")
    with pytest.raises(CallError, match="not connected"):
        gateway_for(corp)


@pytest.mark.usefixtures("suite")
def test_every_kind_that_may_speak_has_its_nights(wecom):
    corp, _endpoint = corp_of(wecom, SUITE)
    assert nightly.why_not(corp) == ""


def test_a_kind_has_one_flow(suite):
    with pytest.raises(ValueError, match="already"):
        flows.register(SUITE, SuiteFlow())


def told(corp, space, name):
    """What WeCom tells of the same three ids, seen by the credential of a space."""
    corp.id_space = space
    corp.save(update_fields=["id_space"])
    member = c.MemberInfo("chen", name, (1,), "active", True)
    tell("members", c.MembersBatch(corp, "backfill", clock.now(), members=(member,), is_full=True))
    row = contacts.person_row("wmSame", contacts.follow_info("chen", clock.now()), name=name)
    tell("people", c.PeopleBatch(corp, "backfill", clock.now(), rows=(row,)))
    inside = c.GroupMemberInfo("wmSame", 2, clock.now(), 1)
    group = c.GroupChatInfo("wrSame", name, "chen", clock.now(), "", (inside,), (), "1")
    tell("groups", c.GroupsBatch(corp, "backfill", clock.now(), groups=(group,)))


def tell(kind, batch):
    with transaction.atomic():
        for handler in c.handlers_for(kind):
            handler(batch)


def test_ids_of_two_spaces_never_meet(wecom):
    """The same text names one person to the corp and another to a provider: nobody is merged, renamed or moved."""
    corp = wecom.connect().corp
    told(corp, "plain", "王小雨")
    told(corp, "suite:dkTestSuite", "陈默")
    told(corp, "plain", "王小雨")

    people = dict(Identity.objects.filter(value="wmSame").values_list("id_space", "contact__name"))
    members = dict(Member.objects.filter(userid="chen").values_list("id_space", "name"))
    groups = dict(GroupChat.objects.filter(chat_id="wrSame").values_list("id_space", "name"))
    assert people == members == groups == {"plain": "王小雨", "suite:dkTestSuite": "陈默"}
    for follow in Follow.objects.select_related("identity", "member"):
        assert follow.identity.id_space == follow.member.id_space
    for inside in GroupMembership.objects.select_related("group").filter(contact__isnull=False):
        assert Identity.objects.get(contact=inside.contact).id_space == inside.group.id_space
    assert Follow.objects.count() == 2


def test_what_we_have_of_one_space_is_not_compared_with_another(wecom):
    """A complete read through a provider's app says nothing of the plain ids: they are not gone."""
    corp = wecom.connect().corp
    told(corp, "plain", "王小雨")
    told(corp, "suite:dkTestSuite", "陈默")
    known = c.inventory()
    assert known.follow_counts(corp) == {"chen": 1} and known.follows(corp, ["chen"]) == {"chen": {"wmSame"}}
    with transaction.atomic():
        tell(
            "removals",
            c.RemovalsBatch(corp, "reconcile", clock.now(), follows=(("wmSame", "chen"),), groups=("wrSame",)),
        )
    states = dict(Follow.objects.values_list("identity__id_space", "relation"))
    assert states["plain"] == "active" != states["suite:dkTestSuite"]
    assert GroupChat.objects.get(id_space="plain").dismissed_at is None


def test_comparing_sees_the_ids_of_its_own_space_alone(wecom):
    corp = wecom.connect().corp
    told(corp, "suite:dkTestSuite", "陈默")
    corp.id_space = "plain"
    row = contacts.person_row("wmSame", contacts.follow_info("chen", clock.now() - timedelta(days=1)), name="王小雨")
    member = c.MemberInfo("chen", "王小雨", (1,), "active", True)
    with transaction.atomic():
        found = find_differences("people", c.PeopleBatch(corp, "reconcile", clock.now(), rows=(row,)))
        found |= find_differences("members", c.MembersBatch(corp, "reconcile", clock.now(), members=(member,)))
    kinds = {key: one.kind for key, one in found.items()}
    assert kinds == {
        ("contact", "wmSame"): "missing", ("follow", "wmSame/chen"): "missing", ("member", "chen"): "missing"
    }  # fmt: skip
