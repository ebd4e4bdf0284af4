"""The app itself and its messages to members (platform reference E)."""

from collections.abc import Mapping, Sequence
from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.gateway.errors import CallError
from wecom_bridge.shapes.app_messages import Agent, SentMessage, UpdatedCard
from wecom_bridge.shapes.pieces import Row, barred, integer, integers, part, rows, text

Answer = dict[str, Any]


class Apps(Core):
    """应用. The agentid is the corp's own unless another is given."""

    def _agentid(self, agentid: int | str | None) -> int:
        """Raises CallError where neither is a number: the connection was made without an AgentId."""
        wanted = str(agentid or self.agent_id)
        if not wanted.isdigit():
            raise CallError("the app's agentid is not known", errcode=40056)
        return int(wanted)

    def get_agent(self, *, agentid: int | str | None = None) -> Agent:
        """agent/get: the visible range (可见范围), trusted domain, state; 40056 no such app, 301002 another app's token (E)."""
        wanted = self._agentid(agentid)
        return self._fetch("agent/get", lambda answer: read_agent(answer, wanted), agentid=wanted)

    def send_to_members(
        self,
        *,
        msgtype: str,
        content: Mapping[str, Any],
        touser: Sequence[str] = (),
        toparty: Sequence[int] = (),
        totag: Sequence[int] = (),
        agentid: int | str | None = None,
        enable_duplicate_check: bool = False,
        duplicate_check_interval: int = 1800,
        **more: Any,
    ) -> SentMessage:
        """message/send: ≤ 1000 members (40032; `@all` is everybody), ≤ 100 departments and tags; 81013 nobody can get it (E).

        Bytes: text and markdown 2048, textcard 128/512/2048, 1 to 8 articles of news. Per member 30 a minute and 1000 an
        hour, per app accounts × 200 a day: what is more is dropped without a word. Raises ValueError without receivers.
        """
        if not (touser or toparty or totag):
            raise ValueError("an app message needs receivers")
        receivers = {"touser": "|".join(touser), "toparty": _joined(toparty), "totag": _joined(totag)}
        body = receivers | {"msgtype": msgtype, "agentid": self._agentid(agentid), msgtype: dict(content)}
        if enable_duplicate_check:
            body |= {"enable_duplicate_check": 1, "duplicate_check_interval": duplicate_check_interval}
        return self._ask("message/send", body | more, read_sent, under="")

    def recall_message(self, *, msgid: str) -> Answer:
        """message/recall: within 24 h (42052), of this app (40058) (E)."""
        return self._ask("message/recall", {"msgid": msgid}, dict, under="")

    def update_template_card(
        self,
        *,
        response_code: str,
        userids: Sequence[str] = (),
        partyids: Sequence[int] = (),
        tagids: Sequence[int] = (),
        atall: int = 0,
        button: Mapping[str, Any] | None = None,
        template_card: Mapping[str, Any] | None = None,
        agentid: int | str | None = None,
    ) -> UpdatedCard:
        """message/update_template_card: once per response_code, within 24 h to be safe (60140); 82101 nobody named, 82102
        none of them has it (E)."""
        receivers = {"userids": list(userids), "partyids": list(partyids), "tagids": list(tagids), "atall": atall}
        given = {"agentid": self._agentid(agentid), "response_code": response_code}
        change = {"button": button, "template_card": template_card}
        return self._ask("message/update_template_card", receivers | given | change, read_updated, under="")


def _joined(ids: Sequence[int]) -> str:
    return "|".join(map(str, ids))


def read_agent(answer: Row, agentid: int) -> Agent:
    users = rows(part(answer, "allow_userinfos"), "user")
    return Agent(
        agentid=integer(answer, "agentid", agentid),
        name=text(answer, "name"),
        userids=tuple(text(row, "userid") for row in users if text(row, "userid")),
        partyids=integers(part(answer, "allow_partys"), "partyid"),
        tagids=integers(part(answer, "allow_tags"), "tagid"),
        close=integer(answer, "close"),
        redirect_domain=text(answer, "redirect_domain"),
        home_url=text(answer, "home_url"),
        square_logo_url=text(answer, "square_logo_url"),
        customized_publish_status=integer(answer, "customized_publish_status"),
    )


def read_updated(answer: Row) -> UpdatedCard:
    return UpdatedCard(barred(answer, "invaliduser"))


def read_sent(answer: Row) -> SentMessage:
    """message/send's answer, also as the dict that a command kept."""
    return SentMessage(
        msgid=text(answer, "msgid"),
        invaliduser=barred(answer, "invaliduser"),
        invalidparty=barred(answer, "invalidparty"),
        invalidtag=barred(answer, "invalidtag"),
        unlicenseduser=barred(answer, "unlicenseduser"),
        response_code=text(answer, "response_code"),
    )
