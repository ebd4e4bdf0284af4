"""What this app tells the others at start."""

from django.utils.translation import gettext_lazy as _

from accounts.permissions import Permission
from accounts.permissions import register as register_permissions
from contacts import handlers, kinds
from contacts.seeds import seed_stages
from tenants import provision


def register() -> None:
    """Called once by ContactsConfig.ready()."""
    people, places = _("客户"), _("组织")
    register_permissions(
        Permission("contacts.view", _("查看客户"), people),
        Permission("contacts.edit", _("修改客户资料、阶段、归属与免打扰"), people),
        Permission("contacts.unmask", _("查看完整手机号"), people),
        Permission("contacts.export", _("导出客户"), people),
        Permission("groups.view", _("查看客户群"), people),
        Permission("org.view", _("查看组织"), places),
        Permission("org.edit", _("维护门店、大区、经销商与成员"), places),
    )
    provision.register_seed("contacts.stages", seed_stages)
    kinds.register()
    handlers.register()
