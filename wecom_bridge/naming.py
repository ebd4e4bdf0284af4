"""What an operator calls the technical names that pages show: lanes, APIs, events, refusals. A name that is not listed is shown
as it is, and WeCom's own name always stands beside ours: it is what her documentation knows."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wecom_bridge import contracts
from wecom_bridge.api_names import WORDS

Words = str | Promise

LANES: dict[str, Words] = {
    "welcome": _("欢迎语"),
    "inbound": _("一般"),
    "outbound": _("一般"),
    "bulk": _("同步与核对"),
}

# (event, change type); an empty change type is for all the others of the event.
EVENTS: dict[tuple[str, str], Words] = {
    ("change_external_contact", "add_external_contact"): _("新增客户"),
    ("change_external_contact", "add_half_external_contact"): _("免验证新增客户"),
    ("change_external_contact", "edit_external_contact"): _("客户资料变更"),
    ("change_external_contact", "del_external_contact"): _("导购删除客户"),
    ("change_external_contact", "del_follow_user"): _("客户删除导购"),
    ("change_external_contact", "transfer_fail"): _("客户接替失败"),
    ("change_external_contact", "msg_audit_approved"): _("客户同意会话存档"),
    ("change_external_contact", ""): _("客户变更"),
    ("change_external_chat", "create"): _("新建客户群"),
    ("change_external_chat", "update"): _("客户群变更"),
    ("change_external_chat", "dismiss"): _("客户群解散"),
    ("change_external_chat", ""): _("客户群变更"),
    ("change_external_tag", ""): _("企业标签变更"),
    ("change_contact", "create_user"): _("新增成员"),
    ("change_contact", "update_user"): _("成员变更"),
    ("change_contact", "delete_user"): _("删除成员"),
    ("change_contact", "create_party"): _("新增部门"),
    ("change_contact", "update_party"): _("部门变更"),
    ("change_contact", "delete_party"): _("删除部门"),
    ("change_contact", ""): _("通讯录变更"),
    ("subscribe", ""): _("成员进入应用可见范围"),
    ("unsubscribe", ""): _("成员离开应用可见范围"),
    ("enter_agent", ""): _("成员打开应用"),
    ("template_card_event", ""): _("点击卡片按钮"),
    ("batch_job_result", ""): _("异步任务完成"),
    ("customer_acquisition", ""): _("获客助手"),
}

# What a row is about, by its key: a letter in callbacks, the app's own word in commands.
ENTITIES: dict[str, Words] = {
    "p": _("客户"),
    "g": _("客户群"),
    "m": _("成员"),
    "t": _("企业标签"),
    "d": _("部门"),
    "follow": _("好友关系"),
    "taggroup": _("标签组"),
    "welcome": _("欢迎语"),
    "groupmsg": _("群发任务"),
    "groupmsg.poll": _("群发任务"),
    "ledger": _("群发记录"),
}

# Why the callback address said no (callbacks.envelope and views.callback).
REFUSALS: dict[str, Words] = {
    "wrong signature": _("签名不对,Token 与控制台的不一致"),
    "wrong key": _("解密失败,EncodingAESKey 与控制台的不一致"),
    "meant for another corp": _("来自另一家企业"),
    "no signature": _("没有签名参数"),
    "a plus became a blank": _("参数被代理多解码了一次"),
    "body too large": _("请求正文超过 256 KB"),
    "truncated body": _("请求正文不完整"),
    "truncated ciphertext": _("密文不完整"),
    "not base64": _("密文格式不对"),
    "not XML": _("请求正文不是 XML"),
    "no Encrypt element": _("请求正文里没有密文"),
    "no event": _("解密后的正文不是事件"),
    "no usable length": _("请求没有正确的 Content-Length"),
    "a DTD in the XML": _("请求正文带有 DTD,不解析"),
    "XML too deep or too large": _("请求正文的 XML 层级过深或元素过多"),
}


def name_lane(lane: str) -> Words:
    """Of a row that waits."""
    return LANES.get(lane, lane)


def name_api(api: str) -> Words:
    """Of a call that was made."""
    return WORDS.get(api, api)


def name_event(event: str, change_type: str) -> Words:
    """Of a callback."""
    return EVENTS.get((event, change_type)) or EVENTS.get((event, "")) or event


def name_entity(key: str) -> str:
    """Of what a row is about: 客户 wm…; keys of callbacks begin with the corp's number, which says nothing here."""
    kind, _colon, which = key.partition(":")
    if kind.isdecimal():
        kind, _colon, which = which.partition(":")
    if kind not in ENTITIES:
        return which or key
    return f"{ENTITIES[kind]} {'' if which == 'all' else which.partition(':')[0]}".strip()


def name_refusal(cause: str) -> Words:
    """Of a callback that was not taken."""
    return REFUSALS.get(cause, cause)


def name_kind(kind: str) -> Words:
    """Of a command, as the app that registered it calls it."""
    try:
        return contracts.command_kind(kind).label or kind
    except KeyError:
        return kind


def list_kinds() -> list[tuple[str, Words]]:
    """(kind, its name) of every registered kind, by name."""
    found = [(kind.name, kind.label or kind.name) for kind in contracts.all_kinds()]
    return sorted(found, key=lambda one: str(one[1]))
