"""The templates keep the house rules, and the rules themselves work."""

import json
import re

import pytest

from tests.frontend import lints
from tests.frontend.lints import ROOT, RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_refuses_its_bad_lines_and_passes_its_good_ones(rule):
    for line in rule.bad:
        assert rule in lints.broken_rules(line), f"{rule.name} lets pass: {line}"
    for line in rule.good:
        assert rule not in lints.broken_rules(line), f"{rule.name} refuses: {line}"


def test_templates_break_no_rule():
    broken = [
        f"{name}:{number}: {rule.name}: {rule.why}"
        for name, source in lints.templates()
        for number, line in enumerate(source.split("\n"), 1)
        for rule in lints.broken_rules(line)
    ]
    assert broken == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>客户</p>",
        '<input placeholder="昵称">',
        '{{ value|default:"无" }}',
        '{% include "x" with title="客户" %}',
        '{% translate "客户" %} 共',
    ],
)
def test_chinese_outside_translation_tags_is_found(source):
    assert lints.untranslated_lines(f"<div>\n{source}\n</div>") == [2]


@pytest.mark.parametrize(
    "source",
    [
        '<p>{% translate "客户" %}</p>',
        "{# 说明 #}",
        "{% comment %}\n说明\n{% endcomment %}",
        '{% include "x" with title=_("客户") %}',
        "{% blocktranslate count n=n %}{{ n }} 人\n{% plural %}{{ n }} 人{% endblocktranslate %}",
        '{{ value|default:_("无") }}',
    ],
)
def test_translated_chinese_passes(source):
    assert lints.untranslated_lines(source) == []


def test_every_template_string_can_be_translated():
    bare = [
        f"{name}:{number}"
        for name, source in lints.templates()
        if not lints.is_sample(name)
        for number in lints.untranslated_lines(source)
    ]
    assert bare == []


def test_every_icon_named_in_a_template_exists():
    known = set(json.loads((ROOT / "frontend/icons.json").read_text(encoding="utf-8")))
    pattern = re.compile(r"""\{%\s*icon\s+["']([\w-]+)["']|icon_name=["']([\w-]+)["']""")
    missing = {
        f"{name}: {first or second}"
        for name, source in lints.templates()
        for first, second in pattern.findall(source)
        if (first or second) not in known
    }
    assert missing == set()
