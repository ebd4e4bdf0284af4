"""House rules for templates, each with lines it must refuse and lines it must let pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Sample content of the living style page is content, not wording.
SAMPLES = ("templates/ui/style.html", "templates/ui/style_phone.html", "templates/ui/style/")
EXPLAINS = re.compile(r"glossary: explains a limit")
HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Rule:
    """A line that matches `pattern` is refused because of `why`."""

    name: str
    pattern: re.Pattern[str]
    why: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


RULES = (
    Rule(
        "no-inline-handlers",
        re.compile(r"""<[^>]*\son[a-z]+\s*=|\shx-on[:\w-]*\s*="""),
        "the content policy refuses inline handlers: use x-on with a registered component, or a data- attribute",
        good=('<button x-on:click="clear">', '<a data-on="1">', "<p>turn it on = off</p>"),
        bad=(
            '<button onclick="go()">',
            '<body class="x" onload = "f()">',
            '<div hx-on:click="x()">',
            '<i hx-on--load="x">',
        ),
    ),
    Rule(
        "no-inline-script",
        re.compile(r"<script\b|javascript:|hx-vals=.js:|hx-vars="),
        "scripts live in frontend/src; data goes through json_script",
        good=('{{ spec|json_script:"chart" }}', "{% ui_scripts %}"),
        bad=(
            "<script>",
            '<script src="x.js">',
            '<a href="javascript:void(0)">',
            "<a hx-vals='js:{a: 1}'>",
            '<a hx-vars="a:1">',
        ),
    ),
    Rule(
        "no-inline-style",
        re.compile(r"<style\b|<[^>]*\sstyle\s*=|\s(?:x-bind)?:style\s*="),
        "the content policy refuses inline style: use a class, <progress> for bars",
        good=('<div class="style">', "<p data-style='x'>", '<a href="/style/">'),
        bad=(
            '<div style="width: 3%">',
            "<style>",
            '<p id="x" style = "color:red">',
            '<p x-bind:style="s">',
            '<p :style="s">',
        ),
    ),
    Rule(
        "no-foreign-assets",
        re.compile(r"""(?:src|srcset|<link[^>]*href)\s*=\s*["'](?:https?:)?//"""),
        "pages load nothing from other hosts",
        good=('<a href="https://example.com">', '<img src="{{ avatar_url }}" alt="">'),
        bad=('<img src="https://a.b/c.png">', '<link rel="x" href="//cdn.x/y.css">', "<img src='http://x/y'>"),
    ),
    Rule(
        "no-unsafe-text",
        re.compile(r"\|\s*safe\b(?!seq)|\{%\s*autoescape\s+off"),
        "escape everything; a tag that builds HTML uses format_html",
        good=("{{ name|safeseq }}", "{{ safe }}"),
        bad=("{{ text|safe }}", "{{ text | safe }}", "{% autoescape off %}"),
    ),
    Rule(
        "no-state-comparison",
        re.compile(
            r"""\{%\s*(?:el)?if\s[^%]*\b(?:status|state)\s*[!=]=\s*["'](?:draft|pending|approved|launched|waiting)"""
        ),
        "pass can_launch from the view instead of comparing business states",
        good=("{% if can_launch %}", '{% if step.state == "now" %}'),
        bad=('{% if broadcast.status == "draft" %}', "{% elif push.state != 'approved' %}"),
    ),
)

_QUOTED_CALL = re.compile(r"""_\((?:"[^"]*"|'[^']*')\)""")
_TRANSLATE = re.compile(r"""\{%\s*trans(?:late)?\s.*?%\}""", re.S)
_BLOCK = re.compile(r"\{%\s*blocktrans(?:late)?\b.*?\{%\s*endblocktrans(?:late)?\s*%\}", re.S)
_COMMENT = re.compile(r"\{#.*?#\}|\{%\s*comment\b.*?%\}.*?\{%\s*endcomment\s*%\}|<!--.*?-->", re.S)
# The names of the languages are written in themselves.
_LANGUAGE_NAMES = re.compile("中文|简体中文")


def broken_rules(line: str) -> list[Rule]:
    """The rules a template line breaks."""
    return [rule for rule in RULES if rule.pattern.search(line)]


def untranslated_lines(source: str) -> list[int]:
    """Numbers of the lines of a template that hold Chinese outside the translation tags."""
    for pattern in (_COMMENT, _BLOCK, _TRANSLATE, _QUOTED_CALL, _LANGUAGE_NAMES):
        source = pattern.sub(lambda match: "\n" * match.group().count("\n"), source)
    return [number for number, line in enumerate(source.split("\n"), 1) if HAN.search(line)]


FORBIDDEN = re.compile(r"粉丝|人群包|推送|送达|已读|死信|流失客户|\bdelivered\b", re.I)


def forbidden_words(source: str) -> list[tuple[int, str]]:
    """(line, word) for each word the glossary keeps out; a marked line may use one to explain a limit."""
    found = []
    for number, line in enumerate(source.split("\n"), 1):
        if not EXPLAINS.search(line):
            found += [(number, match.group()) for match in FORBIDDEN.finditer(line)]
    return found


def templates() -> Iterator[tuple[str, str]]:
    """(name, source) of every template of the product."""
    for folder in [ROOT / "templates", *sorted(ROOT.glob("*/templates"))]:
        if folder.parent.name in {"simulator", "frontend"}:
            continue
        for path in sorted(folder.rglob("*.html")):
            name = path.relative_to(ROOT).as_posix()
            yield name, path.read_text(encoding="utf-8")


def is_sample(name: str) -> bool:
    """Whether a template belongs to the living style page."""
    return name.startswith(SAMPLES)
