"""What the first screen of the customer page says of touches: the last one, and how many WeCom would still let through."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.models import Delivery, MassSendResult
from campaigns.policy import SendPolicy, send_policy
from campaigns.queries.verdicts import covered_corps
from campaigns.times import quota_window
from contacts import panels
from contacts.models import Contact, Follow, Relation
from contacts.queries import follows_of
from scrm.lib import clock


def last_touch(request: HttpRequest, contact: Contact) -> panels.Said:
    """最近触达: the last push that was sent to her."""
    sent = Delivery.objects.filter(contact_id__in=contact.family_ids, sent_at__isnull=False)
    last = sent.select_related("push").order_by("-sent_at").first()
    if last is None or last.sent_at is None:
        return panels.Said(_("还没有群发发到"))
    return panels.Said(last.push.title, f"{timezone.localtime(last.sent_at):%Y-%m-%d %H:%M}")


def quota_left(request: HttpRequest, contact: Contact) -> panels.Said | None:
    """群发额度: what is left of WeCom's quota of the friend who would be chosen; None for nobody's friend."""
    friends = list(follows_of(contact).filter(relation=Relation.ACTIVE).select_related("identity"))
    if not friends:
        return None
    voice = next((one for one in friends if one.member_id == contact.owner_id), friends[0])
    policy, now = send_policy(), clock.now()
    since, until, most = quota_window(now, policy)
    if voice.corp_id not in covered_corps(now, since, policy):
        return panels.Said(_("额度未知"), _("还没有读到企业微信里其他群发的记录"))
    left = max(most - _received(voice, contact, since, until, policy), 0)
    words = ngettext("还可发 %(n)d 条", "还可发 %(n)d 条", left) % {"n": left}
    return panels.Said(words, _("%(at)s 重新计算") % {"at": f"{timezone.localtime(until):%m-%d}"})


def _received(voice: Follow, contact: Contact, since: Any, until: Any, policy: SendPolicy) -> int:
    """Ours and everybody else's mass messages of the quota period (queries.verdicts.QUOTA, of one person)."""
    external = voice.identity.value
    ours = Delivery.objects.filter(
        contact_id__in=contact.family_ids, external_userid=external, sent_at__gte=since, sent_at__lt=until
    )
    others = MassSendResult.objects.filter(
        corp_id=voice.corp_id, target=external, status=1, sent_at__gte=since, sent_at__lt=until,
        mass_send__dispatch_id__isnull=True,
    )  # fmt: skip
    if not policy.quota_counts_personal:
        others = others.filter(mass_send__create_type=0)
    return ours.count() + others.count()


def register() -> None:
    """Put touches and quota on the first screen of the customer page."""
    panels.register_figure(panels.Figure("touched", gettext_lazy("最近触达"), 30, last_touch))
    panels.register_figure(panels.Figure("quota", gettext_lazy("群发额度"), 40, quota_left))
