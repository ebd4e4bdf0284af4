"""One id in several eyes (platform reference B.3, customer-contact reference 10.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.gateway.lenient import rows, text, texts
from wecom_bridge.shapes.conversions import (
    Converted,
    ExternalUserid,
    KnownByUnionid,
    Openid,
    Owner,
    TemporaryConverted,
)

EC = "externalcontact"
Answer = dict[str, Any]


class Conversions(Core):
    """Lists hold at most 1,000 ids, temporary ones at most 100."""

    def _convert(self, path: str, data: Mapping[str, Any]) -> Answer:
        return self._call(path, lambda: self.client.conversions.convert(path, data))

    def userid_to_openuserid(self, *, userid_list: Sequence[str]) -> Converted:
        """batch/userid_to_openuserid: members as a provider sees them (B.3)."""
        answer = self._convert("batch/userid_to_openuserid", {"userid_list": list(userid_list)})
        return read_pairs(answer, "open_userid_list", "userid", "open_userid", "invalid_userid_list")

    def openuserid_to_userid(self, *, open_userid_list: Sequence[str], source_agentid: int) -> Converted:
        """batch/openuserid_to_userid: members visible to both apps; 60221: of another provider (B.3)."""
        given = {"open_userid_list": list(open_userid_list), "source_agentid": source_agentid}
        answer = self._convert("batch/openuserid_to_userid", given)
        return read_pairs(answer, "userid_list", "open_userid", "userid", "invalid_open_userid_list")

    def get_new_external_userid(self, *, external_userid_list: Sequence[str], chat_id: str | None = None) -> Converted:
        """EC/get_new_external_userid; with chat_id the groupchat form, for those who only sit in that group (10.3)."""
        path = f"{EC}/groupchat/get_new_external_userid" if chat_id else f"{EC}/get_new_external_userid"
        answer = self._convert(path, {"chat_id": chat_id, "external_userid_list": list(external_userid_list)})
        return read_pairs(answer, "items", "external_userid", "new_external_userid")

    def convert_to_openid(self, *, external_userid: str) -> Openid:
        """EC/convert_to_openid of a WeChat user (41056); 41057: no developer account bound (10.3)."""
        answer = self._convert(f"{EC}/convert_to_openid", {"external_userid": external_userid})
        return Openid(text(answer, "openid"))

    def unionid_to_external_userid(self, *, unionid: str, openid: str | None = None) -> ExternalUserid:
        """EC/unionid_to_external_userid, of the corp's own mini-program; 610014 unionid, 610017 subject, 610018 openid (10.3)."""
        answer = self._convert(f"{EC}/unionid_to_external_userid", {"unionid": unionid, "openid": openid})
        return ExternalUserid(text(answer, "external_userid"))

    def idconvert_unionid(self, *, unionid: str, openid: str, subject_type: int = 0) -> KnownByUnionid:
        """idconvert/unionid_to_external_userid: the customer, or a pending_id for 90 days; subject_type 1: the provider's (10.3)."""
        given = {"unionid": unionid, "openid": openid, "subject_type": subject_type}
        answer = self._convert("idconvert/unionid_to_external_userid", given)
        return KnownByUnionid(text(answer, "external_userid"), text(answer, "pending_id"))

    def external_userid_to_pending_id(self, *, external_userid: Sequence[str], chat_id: str | None = None) -> Converted:
        """idconvert/batch/external_userid_to_pending_id: those who have one (10.3)."""
        given = {"chat_id": chat_id, "external_userid": list(external_userid)}
        answer = self._convert("idconvert/batch/external_userid_to_pending_id", given)
        return read_pairs(answer, "result", "external_userid", "pending_id")

    def to_service_external_userid(self, *, external_userid: str) -> ExternalUserid:
        """EC/to_service_external_userid: the customer in the provider's eyes (10.3)."""
        answer = self._convert(f"{EC}/to_service_external_userid", {"external_userid": external_userid})
        return ExternalUserid(text(answer, "external_userid"))

    def from_service_external_userid(self, *, external_userid: str, source_agentid: int) -> ExternalUserid:
        """EC/from_service_external_userid: the way back (10.3)."""
        given = {"external_userid": external_userid, "source_agentid": source_agentid}
        answer = self._convert(f"{EC}/from_service_external_userid", given)
        return ExternalUserid(text(answer, "external_userid"))

    def convert_external_tagid(self, *, external_tagid_list: Sequence[str]) -> Converted:
        """idconvert/external_tagid (10.3)."""
        answer = self._convert("idconvert/external_tagid", {"external_tagid_list": list(external_tagid_list)})
        return read_pairs(answer, "items", "external_tagid", "open_external_tagid", "invalid_external_tagid_list")

    def convert_chatid(self, *, chat_id_list: Sequence[str]) -> Converted:
        """idconvert/chatid; 40165 already converted, 40166 not upgraded (B.3)."""
        answer = self._convert("idconvert/chatid", {"chat_id_list": list(chat_id_list)})
        return read_pairs(answer, "items", "chat_id", "new_chat_id", "invalid_chat_id_list")

    def convert_open_kfid(self, *, open_kfid_list: Sequence[str]) -> Converted:
        """idconvert/open_kfid (B.3)."""
        answer = self._convert("idconvert/open_kfid", {"open_kfid_list": list(open_kfid_list)})
        return read_pairs(answer, "items", "open_kfid", "new_open_kfid", "invalid_open_kfid_list")

    def convert_tmp_external_userid(
        self, *, business_type: int, user_type: int, tmp_external_userid_list: Sequence[str]
    ) -> TemporaryConverted:
        """idconvert/convert_tmp_external_userid, at most 100 (10.3)."""
        given = {"business_type": business_type, "user_type": user_type}
        ids = {"tmp_external_userid_list": list(tmp_external_userid_list)}
        return read_temporary(self._convert("idconvert/convert_tmp_external_userid", given | ids))


def read_pairs(answer: Answer, name: str, of: str, to: str, invalid: str = "") -> Converted:
    pairs = ((text(row, of), text(row, to)) for row in rows(answer, name))
    return Converted({one: other for one, other in pairs if one and other}, texts(answer, invalid))


def read_temporary(answer: Answer) -> TemporaryConverted:
    found = {
        text(row, "tmp_external_userid"): Owner(text(row, "external_userid"), text(row, "corpid"), text(row, "userid"))
        for row in rows(answer, "results")
    }
    return TemporaryConverted(
        {one: owner for one, owner in found.items() if one}, texts(answer, "invalid_tmp_external_userid_list")
    )
