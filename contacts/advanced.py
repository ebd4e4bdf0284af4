"""高级筛选: a condition tree as one filter of the customer list, carried in its address.

The address holds the tree's JSON, compressed: 60 statements take some hundred characters. A list of many options may not fit and is
refused with what to do instead; it is never cut.
"""

import base64
import json
import zlib
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conditions import schema
from conditions.compiler import compile_tree
from conditions.registry import Asker
from conditions.render import in_words
from conditions.schema import is_shaped, problems_of
from contacts import listing
from scrm.lib import clock
from scrm.lib.errors import UserError

KEY = "where"
LONGEST = 2000  # characters; a request line has 4,094 for everything (gunicorn's default)
_LARGEST = 64_000  # bytes unpacked; far above the longest tree that fits, far below what would hurt


def pack(tree: dict[str, Any]) -> str:
    """The tree as one value of an address. Raises UserError when it is too long for one."""
    plain = json.dumps(tree, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    text = base64.urlsafe_b64encode(zlib.compress(plain, 9)).decode().rstrip("=")
    if len(text) > LONGEST or len(plain) > _LARGEST:
        raise UserError(
            _("这组条件太长,放不进客户列表。请减少选项或条件;或先存成人群,再用「所在人群」这一个条件来筛选。")
        )
    return text


def unpack(text: str) -> dict[str, Any]:
    """The tree an address carries: well formed, perhaps naming what is gone. Raises UserError when it is none."""
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        tree = json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
        json.dumps(tree, ensure_ascii=False).encode()  # half a surrogate pair can neither be stored nor shown
        if not is_shaped(tree):
            raise ValueError("no tree")
    except (ValueError, zlib.error, RecursionError):
        raise UserError(_("网址里的高级条件不完整,可能复制时少了一段。请重新设置条件。")) from None
    return dict(tree)


def problem_of(text: str) -> str:
    """Why the tree of an address finds nobody, or empty."""
    try:
        problems = problems_of(unpack(text))
    except UserError as error:
        return str(error.message)
    if not problems:
        return ""
    return _("高级条件要修改后才能用,现在找不到客户:%(problems)s") % {
        "problems": ";".join(problem.message for problem in problems[:3])
    }


def _narrow(people: Any, text: str) -> Any:
    try:
        tree = unpack(text)
    except UserError:
        return people.none()
    return people.none() if problems_of(tree) else people.filter(compile_tree(tree, clock.now()))


def _label(text: str) -> str:
    return _("要修改") if problem_of(text) else in_words(unpack(text))


def _closed_to(asker: Asker, text: str) -> str:
    try:
        problems = schema.closed_to(asker, unpack(text))
    except UserError:
        return ""  # it finds nobody, and says why
    return problems[0].message if problems else ""


def register() -> None:
    """Put the filter into the customer list. Where trees are built lies above: tagging.views.filtering."""
    listing.register_filter(
        listing.Filter(
            KEY, gettext_lazy("高级条件"), 60, _narrow, label_of=_label, problem_of=problem_of, closed_to=_closed_to
        )
    )
