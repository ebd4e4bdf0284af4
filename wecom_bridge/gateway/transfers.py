"""Hand-overs of customers and groups (客户继承, reference 9)."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes import transfers as shapes


class Transfers(Core):
    """All may raise CallError. Customers: each has an errcode of her own, 0 when the hand-over has begun; it completes after
    24 hours unless refused."""

    def transfer_customer(
        self,
        *,
        handover_userid: str,
        takeover_userid: str,
        external_userid: list[str],
        transfer_success_msg: str | None = None,
    ) -> shapes.TransferStarts:
        """EC/transfer_customer of a member at work: ≤ 100 customers, message ≤ 200 characters; each ≤ 2 times in 90 days (40128)."""
        body: dict[str, Any] = {"handover_userid": handover_userid, "takeover_userid": takeover_userid}
        body |= {"external_userid": external_userid, "transfer_success_msg": transfer_success_msg or None}
        return self._ask("transfer_customer", body, shapes.TransferStarts.read)

    def transfer_result(
        self, *, handover_userid: str, takeover_userid: str, cursor: str | None = None
    ) -> shapes.TransferOutcomes:
        """EC/transfer_result: all hand-overs between two members, 1,000 a page."""
        body: dict[str, Any] = {
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
            "cursor": cursor,
        }
        return self._ask("transfer_result", body, shapes.TransferOutcomes.read)

    def get_unassigned_list(self, *, cursor: str | None = None, page_size: int = 1000) -> shapes.UnassignedList:
        """EC/get_unassigned_list: customers of members who left, 1,000 a page, by cursor: page numbers end at 50,000."""
        return self._ask("get_unassigned_list", {"cursor": cursor, "page_size": page_size}, shapes.UnassignedList.read)

    def resigned_transfer_customer(
        self, *, handover_userid: str, takeover_userid: str, external_userid: list[str]
    ) -> shapes.TransferStarts:
        """EC/resigned/transfer_customer: ≤ 100 customers of a member who left at most a year ago (40097: has not left)."""
        body: dict[str, Any] = {"handover_userid": handover_userid, "takeover_userid": takeover_userid}
        return self._ask(
            "resigned/transfer_customer", body | {"external_userid": external_userid}, shapes.TransferStarts.read
        )

    def resigned_transfer_result(
        self, *, handover_userid: str, takeover_userid: str, cursor: str | None = None
    ) -> shapes.TransferOutcomes:
        """EC/resigned/transfer_result: 1,000 a page; status 1 to 4."""
        body: dict[str, Any] = {
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
            "cursor": cursor,
        }
        return self._ask("resigned/transfer_result", body, shapes.TransferOutcomes.read)

    def groupchat_transfer(self, *, chat_id_list: list[str], new_owner: str) -> shapes.FailedChats:
        """EC/groupchat/transfer of owners who left: ≤ 100 groups; ≤ 300 a day from one owner to another."""
        body: dict[str, Any] = {"chat_id_list": chat_id_list, "new_owner": new_owner}
        return self._ask("groupchat/transfer", body, shapes.FailedChats.read)

    def groupchat_onjob_transfer(self, *, chat_id_list: list[str], new_owner: str) -> shapes.FailedChats:
        """EC/groupchat/onjob_transfer of owners at work: ≤ 100 groups, each ≤ 2 times in 90 days."""
        body: dict[str, Any] = {"chat_id_list": chat_id_list, "new_owner": new_owner}
        return self._ask("groupchat/onjob_transfer", body, shapes.FailedChats.read)

    def groupchat_get_owner(self, *, chat_id: str) -> shapes.GroupOwner:
        """EC/groupchat/get, of which the owner alone. 49008 dissolved, 90501 no customer group."""
        return self._ask("groupchat/get", {"chat_id": chat_id}, shapes.GroupOwner.read)

    def groupchat_list(
        self, *, status_filter: int = 0, cursor: str | None = None, limit: int = 1000
    ) -> shapes.GroupStates:
        """EC/groupchat/list of all owners in range, 1,000 a page; 81017 beyond 1,000 members. status_filter 2: being inherited."""
        body: dict[str, Any] = {"status_filter": status_filter, "cursor": cursor, "limit": limit}
        return self._ask("groupchat/list", body, shapes.GroupStates.read)
