"""Orders stay for their money; whose they were goes."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from commerce.models import Order
from tenants import erasure
from tenants.erasure import Eraser, Subject

_KEYS = ("buyer_phone", "buyer_unionid", "buyer_external_userid")


def _orders(subject: Subject) -> Q:
    found = Q(contact_id__in=subject.pks("contacts.Contact"))
    for column in _KEYS:
        found |= Q(**{f"{column}__in": subject.texts()})
    return found


def _keys(subject: Subject) -> set[str]:
    rows = Order.objects.filter(contact_id__in=subject.pks("contacts.Contact")).values_list(*_KEYS)
    return {value for row in rows for value in row if value}


def register() -> None:
    """Tell the registry."""
    erasure.register(Eraser("commerce.Order", _("订单上的买家信息"), _orders, blank=dict.fromkeys(_KEYS, "")))
    erasure.register_keys(_keys)
