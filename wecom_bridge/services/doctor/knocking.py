"""Knocking at our own callback address through the public way, sealed with the stored keys, and reading the answer.

The address is the platform's own (PUBLIC_HOST), never one that a tenant typed in.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import requests
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from tenants.models import CallbackRoute
from wecom_bridge.callbacks import knocks, routes
from wecom_bridge.callbacks.envelope import Keys, Refused
from wecom_bridge.callbacks.sealing import seal
from wecom_bridge.models import Corp, InboundEvent
from wecom_bridge.services.corps import callback_url
from wecom_bridge.services.doctor.finding import Finding, bad, ok, unknown, warn

CONNECT_SECONDS, READ_SECONDS = 3.0, 6.0
ECHO_SECONDS = 1.0  # WeCom waits so long for a verification, and 5 s for an event (platform reference A.1)
MAX_ANSWER = 64 * 1024
PADDING = 32 * 1024  # of the event: a proxy with a tiny limit shows
BOM = b"\xef\xbb\xbf"
WHY = gettext_lazy("企业微信保存回调时会失败,或者之后的事件都到不了。")
PASS_QUERY = gettext_lazy("请运维把反向代理改成原样转发网址参数:不要改写、解码、去掉或重排。")
PASS_BODY = gettext_lazy("请运维把反向代理改成原样转发请求正文,并允许至少 256 KB。")
PASS_ANSWER = gettext_lazy("请运维关掉反向代理对应答的改写(加 BOM、换行、压缩外壳、注入脚本)。")


@dataclass(frozen=True)
class Answer:
    """failure: ssl, timeout or connection where there was none."""

    status: int = 0
    content: bytes = b""
    location: str = ""
    seconds: float = 0.0
    failure: str = ""


def examine(route: CallbackRoute, corp: Corp) -> Finding:
    """The finding: the first thing that is wrong on the way, or that all is right."""
    began = clock.wall()
    try:
        return _examine(route, corp)
    finally:
        knocks.forget_refusals_since(route.opaque, began)


def _examine(route: CallbackRoute, corp: Corp) -> Finding:
    address = callback_url(route.opaque)
    try:
        keys = routes.find(route.opaque).keys
    except Refused as refused:
        return bad(_("回调网址打不开:%(cause)s") % {"cause": refused.cause}, str(WHY), _("重新保存企业的接入信息。"))
    word = secrets.token_hex(12).encode()
    echo = _verify(address, keys, word)
    wrong = _judge(echo) or _judge_echo(echo, word)
    if wrong:
        return wrong
    told, stored = _tell(address, keys, corp)
    return _judge(told) or _judge_telling(told, stored) or _judge_pace(max(echo.seconds, told.seconds), echo.seconds)


def _verify(address: str, keys: Keys, word: bytes) -> Answer:
    sealed = seal(keys, word, **_stamp())
    return _knock("GET", f"{address}?{urlencode(sealed.query | {'echostr': sealed.encrypted})}")


def _tell(address: str, keys: Keys, corp: Corp) -> tuple[Answer, bool]:
    """(answer, whether its row was committed). The event is one that nobody handles; its row is taken away again."""
    plain = _event(keys.corp_id)
    sealed = seal(keys, plain, **_stamp())
    answer = _knock("POST", f"{address}?{urlencode(sealed.query)}", sealed.body)
    gone, _per = InboundEvent.objects.filter(corp=corp, digest=hashlib.sha256(plain).hexdigest()).delete()
    return answer, gone > 0


def _stamp() -> dict[str, str]:
    return {"timestamp": str(int(clock.wall().timestamp())), "nonce": knocks.OWN_NONCE + secrets.token_hex(6)}


def _event(receiver: str) -> bytes:
    head = f"<ToUserName>{receiver}</ToUserName><FromUserName>sys</FromUserName><MsgType>event</MsgType>"
    head += f"<CreateTime>{int(clock.wall().timestamp())}</CreateTime><Event>scrm_self_test</Event>"
    return f"<xml>{head}<Word>{secrets.token_hex(12)}</Word><Padding>{'x' * PADDING}</Padding></xml>".encode()


def _knock(method: str, address: str, body: bytes | None = None) -> Answer:
    """One request without redirects. Names under .localhost are this machine (RFC 6761), whatever its resolver says."""
    parts, headers = urlsplit(address), {"Content-Type": "text/xml", "Accept-Encoding": "identity"}
    if str(parts.hostname).endswith(".localhost"):
        headers["Host"] = parts.netloc
        address = parts._replace(netloc=f"127.0.0.1:{parts.port or 80}").geturl()
    began = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method, address, data=body, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False, stream=True,
            )  # fmt: skip
            content = answer.raw.read(MAX_ANSWER)
    except requests.exceptions.SSLError:
        return Answer(failure="ssl")
    except requests.Timeout:
        return Answer(failure="timeout")
    except (requests.RequestException, OSError):
        return Answer(failure="connection")
    spent = time.monotonic() - began
    return Answer(answer.status_code, content, answer.headers.get("Location", ""), spent)


def _judge(answer: Answer) -> Finding | None:
    """What is wrong whatever was asked: no way through, a detour, or a refusal of ours that names its cause."""
    if answer.failure:
        return _unreached(answer.failure)
    if 300 <= answer.status < 400:
        saw = _("代理把回调转到了另一个网址(%(status)s):%(host)s") % {
            "status": answer.status, "host": urlsplit(answer.location).netloc or answer.location[:60],
        }  # fmt: skip
        return bad(saw, str(WHY), _("企业微信不跟随跳转。请运维让 /wecom/cb/ 直接转发,不做跳转。"), fault="redirect")
    said = answer.content.strip().decode("utf-8", "replace")
    if answer.status == 403:
        return _refusal(said)
    if answer.status == 404:
        ours = said == "unknown callback address"
        saw = _("这个回调网址已失效。") if ours else _("代理没有把 /wecom/cb/ 转发给本系统(404)。")
        return bad(saw, str(WHY), _("请运维检查反向代理的路径,大小写和斜杠都要原样。"), fault="path")
    if answer.status == 413:
        return bad(_("请求正文被当作过大拒绝(413)。"), str(WHY), str(PASS_BODY), fault="size")
    if answer.status == 400:
        return bad(
            _("请求正文到达时已被改写(%(said)s)。") % {"said": said[:60]}, str(WHY), str(PASS_BODY), fault="body"
        )
    if answer.status != 200:
        saw = _("回调网址应答 %(status)s。") % {"status": answer.status}
        return bad(saw, str(WHY), _("请运维查看反向代理和本系统的日志。"), fault="status", status=answer.status)
    return None


def _refusal(said: str) -> Finding:
    """403: our own words say what did not fit. We sealed with the stored keys, so something between changed it."""
    if said == "a plus became a blank":
        return bad(_("参数被代理多解码了一次,加号变成了空格。"), str(WHY), str(PASS_QUERY), fault="plus")
    if said == "no signature":
        return bad(_("网址后面的参数没有传到本系统。"), str(WHY), str(PASS_QUERY), fault="query")
    if said == "wrong signature":
        return bad(_("参数或正文在路上被改了,签名对不上。"), str(WHY), str(PASS_QUERY), fault="signature")
    if said in ("wrong key", "meant for another corp"):
        fix = _("在「企业微信接入」重新生成回调密钥,并在控制台重填。")
        return bad(_("密钥刚改过,或几台服务器上的不一致。"), str(WHY), fix, fault="keys")
    return bad(_("请求被代理或防火墙拒绝(403)。"), str(WHY), _("请运维放行 /wecom/cb/ 这个路径。"), fault="forbidden")


def _unreached(failure: str) -> Finding:
    if failure == "ssl":
        fix = _("请运维更换成受信任机构签发、没有过期、包含完整证书链的证书。")
        return bad(_("回调网址的证书不受信任。"), str(WHY), fix, fault="tls")
    fix = _("请运维确认域名已解析、端口已开放;若只是本机绕不回自己的公网地址,以「企业微信的回调」一行为准。")
    return unknown(_("从本服务器连不上回调网址。"), fix, fault=failure)


def _judge_echo(answer: Answer, word: bytes) -> Finding | None:
    """WeCom wants the decrypted word and nothing else."""
    if answer.content == word:
        return None
    added = answer.content.replace(word, b"", 1) if word in answer.content else None
    if added is None:
        saw = _("应答的不是本系统,可能是代理的登录页或默认页。")
        return bad(saw, str(WHY), _("请运维把 /wecom/cb/ 直接转发给本系统。"), fault="answer")
    what = {BOM: _("BOM"), b"\n": _("换行"), b"\r\n": _("换行"), b'""': _("引号")}.get(added, _("多余的内容"))
    saw = _("代理在应答里加了%(what)s,企业微信要求一字不差。") % {"what": what}
    return bad(saw, str(WHY), str(PASS_ANSWER), fault="answer")


def _judge_telling(answer: Answer, stored: bool) -> Finding | None:
    if not stored:
        saw = _("应答了成功,但事件没有写入。")
        return bad(
            saw, str(WHY), _("请运维确认 /wecom/cb/ 转发到的是这一套系统,而不是旧的或测试的。"), fault="elsewhere"
        )
    if answer.content != b"success":
        return bad(_("代理改了应答的内容。"), str(WHY), str(PASS_ANSWER), fault="answer")
    return None


def _judge_pace(slowest: float, echo: float) -> Finding:
    if echo > ECHO_SECONDS or slowest > 4 * ECHO_SECONDS:
        saw = _("回调能通,但应答用了 %(n)s 秒。") % {"n": f"{slowest:.1f}"}
        why = _("企业微信验证网址只等 1 秒,事件只等 5 秒。")
        return warn(saw, why, _("请运维增加 Web 进程,或检查代理的延迟。"), seconds=round(slowest, 1))
    return ok(_("验证和事件都原样到达,并已写入。"), seconds=round(slowest, 2))
