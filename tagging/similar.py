"""Tags that may mean the same. Simple and explained: written alike, sounding alike, one character apart, or a synonym."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts.services.search import pinyin_of
from tagging.models import Tag

LEAST = 3  # characters from which one apart may be a slip; 油皮 and 干皮 are not
LONGEST = 30  # characters of a tag's name
# Words of the trade that stand for each other; the longer first.
SYNONYMS = (
    ("皮肤", "肤"), ("肌肤", "肤"), ("皮", "肤"), ("肌", "肤"), ("顾客", "客"), ("客户", "客"), ("客人", "客"), ("vip", "会员"), ("贵宾", "会员"),
    ("生日", "寿"), ("妈妈", "母"), ("母亲", "母"), ("宝妈", "母"), ("高价值", "重要"), ("重点", "重要"),
)  # fmt: skip

WRITTEN = _("写法相同,只差大小写、全半角、空格或标点")
SYNONYM = _("用词是近义词")
SOUNDS = _("读音相同")
ONE_APART = _("只差一个字")


@dataclass(frozen=True)
class Likeness:
    """A standing tag, and why another name may mean the same."""

    name: str
    tag: Tag
    reason: str | Promise


def plain(name: str) -> str:
    """A name without width, case, blanks and punctuation."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum())


class Index:
    """Standing tags by everything that another name is compared by: looking one up costs its length."""

    def __init__(self, tags: Iterable[Tag]) -> None:
        self.keys: dict[str, list[Tag]] = defaultdict(list)
        self.plain: dict[int, str] = {}
        for tag in tags:
            self.plain[tag.pk] = plain(tag.name)
            for key, _reason in _keys(self.plain[tag.pk]):
                self.keys[key].append(tag)

    def like(self, name: str, *, but: int | None = None) -> list[Likeness]:
        """Tags that a name resembles, each with the nearest reason."""
        found: dict[int, Likeness] = {}
        mine = plain(name)
        for key, reason in _keys(mine):
            for tag in self.keys.get(key, ()):
                if tag.pk != but and tag.pk not in found and _holds(reason, mine, self.plain[tag.pk]):
                    found[tag.pk] = Likeness(name, tag, reason)
        return list(found.values())


def pairs(tags: Sequence[Tag]) -> list[tuple[Tag, Likeness]]:
    """Every two standing tags that resemble each other, once."""
    index = Index(tags)
    return [
        (tag, likeness) for tag in tags for likeness in index.like(tag.name, but=tag.pk) if likeness.tag.pk > tag.pk
    ]


def _keys(name: str) -> Iterator[tuple[str, str | Promise]]:
    """What a name is found by, the nearest likeness first."""
    if not name or len(name) > LONGEST:
        return  # no tag can be called that; and the work grows with the square of it
    yield f"w:{name}", WRITTEN
    yield f"s:{_with_synonyms(name)}", SYNONYM
    sound = pinyin_of(name)[0]
    if sound and all("\u3400" <= char <= "\u9fff" for char in name):
        yield f"p:{sound}", SOUNDS
    if len(name) >= LEAST:
        for place in range(len(name)):
            yield f"1:{name[:place]}?{name[place + 1 :]}", ONE_APART  # another character there
            yield f"0:{name[:place]}{name[place + 1 :]}", ONE_APART  # one more on this side
    yield f"0:{name}", ONE_APART  # one more on the other


def _holds(reason: str | Promise, one: str, other: str) -> bool:
    """One apart in a digit is another thing (2024春, 2025春); and both are long enough."""
    if reason is not ONE_APART:
        return True
    if min(len(one), len(other)) < LEAST or abs(len(one) - len(other)) > 1:
        return False
    if len(one) == len(other):
        apart = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        return len(apart) == 1 and not any(char.isdigit() for char in apart[0])
    longer, shorter = sorted((one, other), key=len, reverse=True)
    place = next((n for n, char in enumerate(shorter) if char != longer[n]), len(shorter))
    return longer[:place] + longer[place + 1 :] == shorter and not longer[place].isdigit()


def _with_synonyms(name: str) -> str:
    for word, stands_for in SYNONYMS:
        name = name.replace(word, stands_for)
    return name
