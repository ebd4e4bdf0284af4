"""The app itself: its name, its trusted domain, and whom it may see (可见范围)."""

from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.corp import APP


@endpoint("agent/get", Field("agentid", int, missing=40056), method="GET", secrets=(APP,))
def get_agent(call: Call) -> dict:
    """301002 for another app; the range as members and departments, in as few words as tell it exactly."""
    if call["agentid"] != call.corp.agent_id:
        raise WeComError(301002)
    parties, users = call.corp.directory.visible_range()
    return {
        "agentid": call.corp.agent_id,
        "name": "客户运营",
        "square_logo_url": "https://wework.qpic.cn/bizmail/logo/0",
        "description": "",
        "allow_userinfos": {"user": [{"userid": userid} for userid in users]},
        "allow_partys": {"partyid": parties},
        "allow_tags": {"tagid": []},
        "close": 0,
        "redirect_domain": call.corp.trusted_domain,
        "report_location_flag": 0,
        "isreportenter": 1,
        "home_url": "",
        "customized_publish_status": 1,
    }
