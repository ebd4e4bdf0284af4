"""WW_verify_….txt: WeCom's console fetches it from the root of a domain before it trusts the domain."""

import re

from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from wecom_bridge.models import VerifyFile

NAME = re.compile(r"WW_verify_[A-Za-z0-9]{16}\.txt")
_CONTENT = re.compile(r"[A-Za-z0-9]{1,64}")
MAX_BYTES = 256


@transaction.atomic
def keep_file(name: str, content: bytes, *, by: Actor) -> VerifyFile:
    """Keep the file as the console gave it; again with the same name replaces it.

    Raises UserError for any other name, and for a content that is more than letters and digits: what is served at the root
    of a merchant's host is never anybody's page.
    """
    if not NAME.fullmatch(name):
        raise UserError(_("请上传控制台给的校验文件,名字形如 WW_verify_ 加 16 位字母数字 .txt,不要改名。"))
    text = content.removeprefix(b"\xef\xbb\xbf").decode("ascii", "replace").strip()
    if len(content) > MAX_BYTES or not _CONTENT.fullmatch(text):
        raise UserError(_("这个文件的内容不是控制台给的校验码。请重新下载后原样上传。"))
    now = clock.wall()
    row, _made = VerifyFile.objects.update_or_create(name=name, defaults={"content": text, "uploaded_at": now})
    audit.record("corp.verify_file_kept", row, by=by, name=name)
    return row
