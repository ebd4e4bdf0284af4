"""Corps and their keys: connect, change, test, disconnect."""

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.crypto import random_token
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.models import CallbackRoute
from wecom_bridge.callbacks import routes
from wecom_bridge.callbacks.envelope import decode_key
from wecom_bridge.gateway import tokens
from wecom_bridge.models import ChecklistLink, Corp, CorpCredential

_LETTERS = string.ascii_letters + string.digits
_CORP_ID = re.compile(r"^(ww|wx|wp)[0-9A-Za-z_-]{6,60}$")


@dataclass(frozen=True)
class Connection:
    """What IT enters on WeCom's side. token and encoding_aes_key are shown once, when they are made."""

    corp: Corp
    callback_url: str
    token: str
    encoding_aes_key: str


def new_callback_keys() -> tuple[str, str]:
    """(Token, EncodingAESKey) as WeCom wants them: 32 and 43 letters and digits. The key's last letter carries no stray bits."""
    token = "".join(secrets.choice(_LETTERS) for _n in range(32))
    key = "".join(secrets.choice(_LETTERS) for _n in range(42)) + secrets.choice("AEIMQUYcgkosw048")
    return token, key


@transaction.atomic
def connect_corp(
    *,
    corp_id: str,
    name: str,
    agent_id: str,
    secret: str,
    token: str = "",
    encoding_aes_key: str = "",
    open_account: str = "",
    by: Actor,
) -> Connection:
    """Add a corp with its app's credential and a callback address, or change one that is there. Keys left empty are kept, or made.

    Raises UserError for a malformed corp id or key.
    """
    _check(corp_id, token, encoding_aes_key)
    now = clock.wall()
    corp, is_new = Corp.objects.get_or_create(corp_id=corp_id, defaults={"name": name, "created_at": now})
    corp.name, corp.open_account, corp.is_active = name, open_account or corp.open_account, True
    corp.save(update_fields=["name", "open_account", "is_active"])
    credential = CorpCredential.objects.select_for_update().filter(corp=corp, kind=CorpCredential.Kind.APP).first()
    credential = credential or CorpCredential(corp=corp, kind=CorpCredential.Kind.APP, created_at=now)
    if not (secret or credential.secret):
        raise UserError(_("请填写应用的 Secret。"), fields={"secret": _("必填")})
    _set_keys(credential, agent_id, secret, token, encoding_aes_key)
    route = _route(credential, now)
    audit.record(
        "corp.connected" if is_new else "corp.changed", corp, by=by, corp_id=corp_id, secret_changed=bool(secret)
    )
    transaction.on_commit(lambda: _forget(credential.pk))
    return Connection(corp, callback_url(route.opaque), credential.callback_token, credential.callback_aes_key)


def rest_after_restore() -> None:
    """A restored merchant calls nobody until a person connects her corps again: beside the original, or since the dump was made,
    what waits in her books may have been sent already. Runs in the transaction that registers her."""
    Corp.objects.update(is_active=False)
    CorpCredential.objects.update(access_token="", access_token_expires_at=None)
    ChecklistLink.objects.filter(revoked_at=None).update(revoked_at=clock.wall())  # some were taken back since the dump


def _check(corp_id: str, token: str, encoding_aes_key: str) -> None:
    if not _CORP_ID.match(corp_id):
        raise UserError(
            _("企业 ID 的格式不对:它以 ww 开头,可在企业微信管理后台「我的企业」里找到。"),
            fields={"corp_id": _("格式不对")},
        )
    if token and not re.fullmatch(r"[0-9A-Za-z]{1,32}", token):
        raise UserError(_("Token 只能是 32 位以内的字母和数字。"), fields={"token": _("格式不对")})
    if encoding_aes_key:
        try:
            decode_key(encoding_aes_key)
        except ValueError:
            raise UserError(
                _("EncodingAESKey 应为 43 位字母和数字,请从企业微信后台完整复制。"),
                fields={"encoding_aes_key": _("格式不对")},
            ) from None


def _set_keys(credential: CorpCredential, agent_id: str, secret: str, token: str, encoding_aes_key: str) -> None:
    made_token, made_key = new_callback_keys()
    credential.agent_id = agent_id
    credential.callback_token = token or credential.callback_token or made_token
    credential.callback_aes_key = encoding_aes_key or credential.callback_aes_key or made_key
    if secret and (secret != credential.secret or credential.broken_at):  # a refused one typed again is tried once more
        credential.secret = secret
        credential.access_token, credential.access_token_expires_at = "", None
        credential.access_token_version += 1
        credential.broken_at, credential.broken_reason = None, ""
    credential.save(
        update_fields=None if credential.pk is None else [
            "agent_id", "secret", "callback_token", "callback_aes_key", "access_token", "access_token_expires_at",
            "access_token_version", "broken_at", "broken_reason",
        ]
    )  # fmt: skip


def _route(credential: CorpCredential, now: datetime) -> CallbackRoute:
    tenant = current_tenant()
    route = CallbackRoute.objects.filter(tenant=tenant, credential_pk=credential.pk).first()
    if route is None:
        route = CallbackRoute.objects.create(
            opaque=random_token(24),
            tenant=tenant,
            corp_pk=credential.corp_id,
            credential_pk=credential.pk,
            created_at=now,
        )
    return route


def _forget(credential_pk: int) -> None:
    tokens.forget(credential_pk)
    routes.forget()


def callback_url(opaque: str) -> str:
    """The address WeCom calls, on the platform's own host."""
    usual = 443 if settings.SITE_SCHEME == "https" else 80
    port = "" if settings.SITE_PORT == usual else f":{settings.SITE_PORT}"
    return f"{settings.SITE_SCHEME}://{settings.PUBLIC_HOST}{port}/wecom/cb/{opaque}"


@transaction.atomic
def renew_callback_keys(corp: Corp, *, by: Actor) -> Connection:
    """New Token and EncodingAESKey; callbacks signed with the old ones are refused from now on."""
    credential = CorpCredential.objects.select_for_update().get(corp=corp, kind=CorpCredential.Kind.APP)
    credential.callback_token, credential.callback_aes_key = new_callback_keys()
    credential.save(update_fields=["callback_token", "callback_aes_key"])
    audit.record("corp.callback_keys_renewed", corp, by=by)
    transaction.on_commit(lambda: _forget(credential.pk))
    route = _route(credential, clock.wall())
    return Connection(corp, callback_url(route.opaque), credential.callback_token, credential.callback_aes_key)
