"""WeCom's own pages that a browser is sent to, and the script it loads from there (platform reference D)."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from wecom_bridge.models import Corp, CorpCredential

INSIDE, BROWSER, SCRIPT = "/connect/oauth2/authorize", "/wwlogin/sso/login/", "/node/open/js/wecom-jssdk-2.3.4.js"
_HOSTS = {
    INSIDE: "https://open.weixin.qq.com",
    BROWSER: "https://login.work.weixin.qq.com",
    SCRIPT: "https://wwcdn.weixin.qq.com",
}


@dataclass(frozen=True)
class App:
    """A connected corp with the app that speaks for it."""

    corp: Corp
    agent_id: str


def connected_apps() -> list[App]:
    """The merchant's corps whose app can say who somebody is, in order of connection. One query."""
    rows = CorpCredential.objects.filter(corp__is_active=True, kind=CorpCredential.Kind.APP).exclude(agent_id="")
    found: dict[int, App] = {}
    for row in rows.select_related("corp").only("agent_id", "corp").order_by("corp_id", "id"):
        found.setdefault(row.corp_id, App(row.corp, row.agent_id))
    return list(found.values())


def app_of(corp_pk: int) -> App | None:
    """The app of one corp, if it is connected."""
    return next((app for app in connected_apps() if app.corp.pk == corp_pk), None)


def is_inside(user_agent: str) -> bool:
    """Whether the browser is WeCom's own."""
    return "wxwork" in user_agent.lower()


def login_page(app: App, *, back: str, state: str, inside: bool) -> str:
    """Where WeCom asks who it is: at once and unseen inside WeCom (D2), by QR code elsewhere (D1). state: letters and digits, at
    most 128."""
    if inside:
        asked = {"appid": app.corp.corp_id, "redirect_uri": back, "response_type": "code", "scope": "snsapi_base"}
        return f"{_at(INSIDE)}?{urlencode(asked | {'agentid': app.agent_id, 'state': state})}#wechat_redirect"
    asked = {"login_type": "CorpApp", "appid": app.corp.corp_id, "agentid": app.agent_id, "redirect_uri": back}
    return f"{_at(BROWSER)}?{urlencode(asked | {'state': state})}"


def script_url() -> str:
    """WECOM-JSSDK, from WeCom's own address."""
    return _at(SCRIPT)


def script_origin() -> str:
    """What a page's content policy must allow for it."""
    parts = urlsplit(script_url())
    return f"{parts.scheme}://{parts.netloc}"


def _at(path: str) -> str:
    return (settings.WECOM_PAGES_BASE or _HOSTS[path]) + path
