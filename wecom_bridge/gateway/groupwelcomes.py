"""Group welcome templates (入群欢迎语素材, reference 7.4)."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes import groupwelcomes as shapes


class GroupWelcomes(Core):
    """All may raise CallError. Content: text, and one of image > link > miniprogram > file > video; WeCom keeps the first."""

    def group_welcome_template_add(self, *, notify: int | None = None, **content: Any) -> shapes.GroupWelcomeId:
        """EC/group_welcome_template/add: text ≤ 3000 bytes, %NICKNAME% for the name; ≤ 100 per corp (41055). notify 1: owners are told."""
        return self._ask("group_welcome_template/add", {"notify": notify, **content}, shapes.GroupWelcomeId.read)

    def group_welcome_template_edit(self, *, template_id: str, **content: Any) -> dict[str, Any]:
        """EC/group_welcome_template/edit: text ≤ 4000 bytes; 41058: another app made it."""
        return self._ask("group_welcome_template/edit", {"template_id": template_id, **content}, dict)

    def group_welcome_template_get(self, *, template_id: str) -> shapes.GroupWelcome:
        """EC/group_welcome_template/get."""
        return self._ask("group_welcome_template/get", {"template_id": template_id}, shapes.GroupWelcome.read)

    def group_welcome_template_del(self, *, template_id: str) -> dict[str, Any]:
        """EC/group_welcome_template/del: 41058: another app made it."""
        return self._ask("group_welcome_template/del", {"template_id": template_id}, dict)
