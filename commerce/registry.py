"""What this app tells the others at start."""

from django.utils.translation import gettext_lazy as _

from accounts import api_scopes, audit_words, navigation
from accounts.navigation import NavEntry
from accounts.permissions import Permission
from accounts.permissions import register as register_permissions
from commerce import erasers, fields, kinds, panels
from commerce.queries import purchases_of
from commerce.services import imports
from commerce.services.binding import on_new_keys
from contacts import arrivals, longjobs
from contacts.services import crediting


def register() -> None:
    """Called once by CommerceConfig.ready()."""
    group = _("订单")
    register_permissions(
        Permission("orders.view", _("查看订单"), group, says=_("看范围内的订单、退款和客户的消费")),
        Permission(
            "orders.import",
            _("导入订单"),
            group,
            tenant_wide=True,
            freezes=True,
            says=_("用文件导入订单,把订单绑定到客户"),
        ),
    )
    api_scopes.register("orders", _("订单"))
    audit_words.register(
        {
            "orders.imported": _("导入订单"),
            "orders.rejects_downloaded": _("下载未导入的订单行"),
            "refunds.taken": _("接收退款"),
            "order.bound": _("人工绑定订单"),
        }
    )
    navigation.register(
        NavEntry("orders", _("订单"), "people", "commerce:order_list", "receipt", "orders.view", order=97)
    )
    kinds.register()
    panels.register()
    fields.fill()
    longjobs.register(imports.KIND, imports.import_step)
    arrivals.on_new_keys(on_new_keys)
    erasers.register()
    crediting.register_purchases(purchases_of)
