"""The way through WeCom's console: the one order in which it lets things be set."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from wecom_bridge.services.doctor import words


@dataclass(frozen=True)
class Step:
    """where: the page of the console."""

    key: str
    title: str | Promise
    where: str | Promise
    todo: str | Promise


STEPS = (
    Step(
        "app",
        gettext_lazy("自建应用"),
        gettext_lazy("「应用管理 › 应用 › 自建 › 创建应用」"),
        gettext_lazy("创建一个自建应用,可见范围选门店所在的部门;把企业 ID、AgentId 和 Secret 填进本系统。"),
    ),
    Step(
        "domain",
        gettext_lazy("可信域名"),
        words.AT_DOMAIN,
        gettext_lazy(
            "填入下面的域名。控制台会给一个 WW_verify_….txt 文件,先上传到本系统,再点校验。域名要已备案,主体与企业一致。"
        ),
    ),
    Step(
        "ip",
        gettext_lazy("企业可信IP"),
        words.AT_IP,
        gettext_lazy("可信域名设好后才能填。点「配置」填入下面的 IP,保存后等约一分钟。"),
    ),
    Step(
        "callback",
        gettext_lazy("回调"),
        words.AT_CALLBACK,
        gettext_lazy("填入回调网址、Token 和 EncodingAESKey,点保存;控制台会当场验证。"),
    ),
    Step(
        "allowed",
        gettext_lazy("可调用应用"),
        words.AT_ALLOWED,
        gettext_lazy("勾选本应用并保存。没有这一步,读不到客户(错误码 48002)。"),
    ),
    Step(
        "range",
        gettext_lazy("可见范围"),
        words.AT_RANGE,
        gettext_lazy("可见范围要包括所有导购;导购还要在「客户联系 › 权限配置 › 使用范围」里。"),
    ),
)
HEALTH = "health"
ORDER = (*(step.key for step in STEPS), HEALTH)
