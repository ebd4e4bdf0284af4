"""API tokens: shown once when made, stored as a digest, revoked for good."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import journal
from accounts.api_scopes import is_known
from accounts.models import ApiToken
from scrm.lib import clock
from scrm.lib.crypto import random_token, token_digest
from scrm.lib.errors import UserError
from tenants.audit import Actor


@transaction.atomic
def create_token(
    name: str, scopes: Sequence[str], *, by: Actor, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """The token's row and its text `<prefix>.<secret>`, which nobody can see again. Raises UserError for unknown scopes."""
    unknown = [scope for scope in scopes if not is_known(scope)]
    if unknown or not scopes:
        raise UserError(_("请选择令牌能做什么。"), fields={"scopes": _("没有选择,或含未知范围")})
    prefix, secret = random_token(9)[:12], random_token()
    token = ApiToken.objects.create(
        name=name.strip(), prefix=prefix, token_digest=token_digest(secret), scopes=sorted(set(scopes)),
        created_by_id=by.id if by.kind == "user" else None, created_at=clock.wall(), expires_at=expires_at,
    )  # fmt: skip
    journal.record("token.created", token, by=by, scopes=token.scopes)
    return token, f"{prefix}.{secret}"


@transaction.atomic
def revoke_token(token_id: int, *, by: Actor) -> ApiToken:
    """It stops working at once. Revoking twice changes nothing."""
    token = ApiToken.objects.select_for_update().get(pk=token_id)
    if token.revoked_at is None:
        token.revoked_at = clock.wall()
        token.save(update_fields=["revoked_at"])
        journal.record("token.revoked", token, by=by)
    return token
