"""What WeCom says of our own app."""

from typing import Any

from wecom_bridge.gateway.core import Core


class Agents(Core):
    """The app itself."""

    def get_agent(self, *, agentid: str) -> dict[str, Any]:
        """agent/get: name, close, redirect_domain (可信域名), and the visible range in allow_userinfos.user[].userid,
        allow_partys.partyid[], allow_tags.tagid[]. 301002: the token is another app's; 40056: no such app."""
        return self._call("agent/get", lambda: self.client.get("agent/get", params={"agentid": agentid}))
