"""One word per idea: the words the glossary forbids stay out of templates, source strings and translations."""

import pytest

from scrm.i18n import catalogue, extract
from tests.frontend import lints
from tests.frontend.lints import ROOT


@pytest.mark.parametrize("line", ["<p>粉丝</p>", "消息送达", "已读 12 人", "Delivered to 3", '{% translate "推送" %}'])
def test_a_forbidden_word_is_found(line):
    assert lints.forbidden_words(line)


@pytest.mark.parametrize(
    "line",
    [
        "群发发送成功",
        "undeliveredness",
        "已送到",
        '{% translate "无法得知是否已读" %} {# glossary: explains a limit #}',
    ],
)
def test_the_product_s_own_words_and_marked_lines_pass(line):
    assert lints.forbidden_words(line) == []


def test_templates_keep_the_glossary():
    found = [
        f"{name}:{number}: {word}"
        for name, source in lints.templates()
        for number, word in lints.forbidden_words(source)
    ]
    assert found == []


def explained() -> set[str]:
    """Source strings that stand on a marked line: they, and their translations, may name the limit."""
    found: set[str] = set()
    for path in extract.source_files(ROOT):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if lints.EXPLAINS.search(line):
                read = extract.from_template if path.suffix != ".py" else extract.from_python
                found |= {message.id for message in read(line.strip())}
    return found


def test_source_strings_and_translations_keep_the_glossary():
    allowed = explained()
    known = catalogue.read(catalogue.po_path(ROOT))
    found = []
    for message, files in extract.from_tree(ROOT).items():
        texts = known[message.key][1] if message.key in known else ()
        if message.id not in allowed:
            for text in (message.id, message.plural, *texts):
                found += [f"{files[0]}: {word} in {text!r}" for _line, word in lints.forbidden_words(text)]
    assert found == []
