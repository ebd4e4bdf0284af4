"""One id in several eyes (platform reference B.3, customer-contact reference 10.3)."""

from collections.abc import Callable, Sequence

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.conversions import (
    Converted,
    ExternalUserid,
    KnownByUnionid,
    Openid,
    Owner,
    TemporaryConverted,
)
from wecom_bridge.shapes.pieces import Row, needed, rows, text, texts


class Conversions(Core):
    """Lists hold at most 1,000 ids, temporary ones at most 100."""

    def userid_to_openuserid(self, *, userid_list: Sequence[str]) -> Converted:
        """batch/userid_to_openuserid: members as a provider sees them (B.3)."""
        read = pairs("open_userid_list", "userid", "open_userid", "invalid_userid_list")
        return self._ask("batch/userid_to_openuserid", {"userid_list": list(userid_list)}, read, under="")

    def openuserid_to_userid(self, *, open_userid_list: Sequence[str], source_agentid: int) -> Converted:
        """batch/openuserid_to_userid: members visible to both apps; 60221: of another provider (B.3)."""
        given = {"open_userid_list": list(open_userid_list), "source_agentid": source_agentid}
        read = pairs("userid_list", "open_userid", "userid", "invalid_open_userid_list")
        return self._ask("batch/openuserid_to_userid", given, read, under="")

    def get_new_external_userid(self, *, external_userid_list: Sequence[str], chat_id: str | None = None) -> Converted:
        """EC/get_new_external_userid; with chat_id the groupchat form, for those who only sit in that group (10.3)."""
        api = "groupchat/get_new_external_userid" if chat_id else "get_new_external_userid"
        given = {"chat_id": chat_id, "external_userid_list": list(external_userid_list)}
        return self._ask(api, given, pairs("items", "external_userid", "new_external_userid"))

    def convert_to_openid(self, *, external_userid: str) -> Openid:
        """EC/convert_to_openid of a WeChat user (41056); 41057: no developer account bound (10.3)."""
        given = {"external_userid": external_userid}
        return self._ask("convert_to_openid", given, lambda answer: Openid(needed(answer, "openid")))

    def unionid_to_external_userid(self, *, unionid: str, openid: str | None = None) -> ExternalUserid:
        """EC/unionid_to_external_userid, of the corp's own mini-program; 610014 unionid, 610017 subject, 610018 openid (10.3)."""
        return self._ask("unionid_to_external_userid", {"unionid": unionid, "openid": openid}, read_customer)

    def idconvert_unionid(self, *, unionid: str, openid: str, subject_type: int = 0) -> KnownByUnionid:
        """idconvert/unionid_to_external_userid: the customer, or a pending_id for 90 days; subject_type 1: the provider's (10.3)."""
        given = {"unionid": unionid, "openid": openid, "subject_type": subject_type}
        return self._ask("idconvert/unionid_to_external_userid", given, read_known, under="")

    def external_userid_to_pending_id(self, *, external_userid: Sequence[str], chat_id: str | None = None) -> Converted:
        """idconvert/batch/external_userid_to_pending_id: those who have one (10.3)."""
        given = {"chat_id": chat_id, "external_userid": list(external_userid)}
        read = pairs("result", "external_userid", "pending_id")
        return self._ask("idconvert/batch/external_userid_to_pending_id", given, read, under="")

    def to_service_external_userid(self, *, external_userid: str) -> ExternalUserid:
        """EC/to_service_external_userid: the customer in the provider's eyes (10.3)."""
        return self._ask("to_service_external_userid", {"external_userid": external_userid}, read_customer)

    def from_service_external_userid(self, *, external_userid: str, source_agentid: int) -> ExternalUserid:
        """EC/from_service_external_userid: the way back (10.3)."""
        given = {"external_userid": external_userid, "source_agentid": source_agentid}
        return self._ask("from_service_external_userid", given, read_customer)

    def convert_external_tagid(self, *, external_tagid_list: Sequence[str]) -> Converted:
        """idconvert/external_tagid (10.3)."""
        read = pairs("items", "external_tagid", "open_external_tagid", "invalid_external_tagid_list")
        given = {"external_tagid_list": list(external_tagid_list)}
        return self._ask("idconvert/external_tagid", given, read, under="")

    def convert_chatid(self, *, chat_id_list: Sequence[str]) -> Converted:
        """idconvert/chatid; 40165 already converted, 40166 not upgraded (B.3)."""
        read = pairs("items", "chat_id", "new_chat_id", "invalid_chat_id_list")
        return self._ask("idconvert/chatid", {"chat_id_list": list(chat_id_list)}, read, under="")

    def convert_open_kfid(self, *, open_kfid_list: Sequence[str]) -> Converted:
        """idconvert/open_kfid (B.3)."""
        read = pairs("items", "open_kfid", "new_open_kfid", "invalid_open_kfid_list")
        return self._ask("idconvert/open_kfid", {"open_kfid_list": list(open_kfid_list)}, read, under="")

    def convert_tmp_external_userid(
        self, *, business_type: int, user_type: int, tmp_external_userid_list: Sequence[str]
    ) -> TemporaryConverted:
        """idconvert/convert_tmp_external_userid, at most 100 (10.3)."""
        given = {"business_type": business_type, "user_type": user_type}
        ids = {"tmp_external_userid_list": list(tmp_external_userid_list)}
        return self._ask("idconvert/convert_tmp_external_userid", given | ids, read_temporary, under="")


def pairs(name: str, of: str, to: str, invalid: str = "") -> Callable[[Row], Converted]:
    """Reads the ids `of` → `to` in the list `name`, and the list `invalid`."""

    def read(answer: Row) -> Converted:
        found = ((text(row, of), text(row, to)) for row in rows(answer, name))
        return Converted({one: other for one, other in found if one and other}, texts(answer, invalid))

    return read


def read_customer(answer: Row) -> ExternalUserid:
    return ExternalUserid(text(answer, "external_userid"))


def read_known(answer: Row) -> KnownByUnionid:
    return KnownByUnionid(text(answer, "external_userid"), text(answer, "pending_id"))


def read_temporary(answer: Row) -> TemporaryConverted:
    found = {
        text(row, "tmp_external_userid"): Owner(text(row, "external_userid"), text(row, "corpid"), text(row, "userid"))
        for row in rows(answer, "results")
    }
    return TemporaryConverted(
        {one: owner for one, owner in found.items() if one}, texts(answer, "invalid_tmp_external_userid_list")
    )
