"""The translation pipeline: what it reads, keeps, refuses and compiles."""

import gettext

import pytest

from scrm.i18n import catalogue, commands, extract
from scrm.i18n.extract import Message
from tests.frontend.lints import ROOT


def test_python_strings_are_found_with_plurals_and_contexts():
    source = """
from x import gettext_lazy as _, ngettext, pgettext_lazy
A = _("客户")
B = ngettext("%(n)d 位客户", "%(n)d 位客户们", n)
C = pgettext_lazy("阶段", "忠诚")
D = _("两行"
      "相连")
E = "不翻译"
"""
    assert extract.from_python(source) == {
        Message("客户"),
        Message("%(n)d 位客户", "%(n)d 位客户们"),
        Message("忠诚", context="阶段"),
        Message("两行相连"),
    }


def test_template_strings_are_found_wherever_they_may_stand():
    source = """
      <p title="{% translate "标题" %}">不翻译 it's "quoted" (</p>
    {% include "x.html" with label=_("标签") %}
  {% blocktranslate with n=total|num %}共 {{ n }} 条{% endblocktranslate %}
        {% blocktranslate count n=n trimmed %}
          {{ n }} 人
        {% plural %}
          {{ n }} 人们
        {% endblocktranslate %}
    {% translate "忠诚" context "阶段" %}{# {% translate "不要" %} #}
    """
    assert extract.from_template(source) == {
        Message("标题"),
        Message("标签"),
        Message("共 %(n)s 条"),
        Message("%(n)s 人", "%(n)s 人们"),
        Message("忠诚", context="阶段"),
    }


@pytest.fixture
def tree(tmp_path):
    """A small project with one module, one template and things to be skipped."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/views.py").write_text('from x import _\nA = _("客户")\n', encoding="utf-8")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/a.html").write_text(
        "{% blocktranslate count n=n %}{{ n }} 条{% plural %}{{ n }} 条{% endblocktranslate %}", encoding="utf-8"
    )
    for folder in ("tests", "node_modules", ".venv", "simulator"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text('_("看不见")\n', encoding="utf-8")
    return tmp_path


def said(root, verb, file=None):
    """Run a verb; returns (status, lines)."""
    lines: list[str] = []
    return commands.run(root, verb, file, False, lines.append), lines


def test_a_string_without_english_fails_the_check_until_filled(tree):
    status, lines = said(tree, "check")
    assert status == 1
    assert any(line.startswith("missing: '客户' (app/views.py)") for line in lines)

    said(tree, "extract")
    assert said(tree, "check")[1][0].startswith("untranslated")

    words = tree / "words.json"
    words.write_text('{"客户": "Customer", "%(n)s 条": ["%(n)s row", "%(n)s rows"]}', encoding="utf-8")
    assert said(tree, "fill", words)[0] == 0
    assert said(tree, "check") == (0, ["2 source strings, all translated"])


def test_a_string_that_is_gone_is_stale_and_extract_drops_it(tree):
    found = extract.from_tree(tree)
    path = catalogue.po_path(tree)
    catalogue.sync(path, found, {"客户": "Customer", "%(n)s 条": ["%(n)s row", "%(n)s rows"]})
    (tree / "app/views.py").write_text("", encoding="utf-8")

    assert catalogue.check(path, extract.from_tree(tree)).stale == ["'客户'"]

    said(tree, "extract")
    assert not catalogue.check(path, extract.from_tree(tree))
    assert catalogue.read(path)["", "%(n)s 条"][1] == ("%(n)s row", "%(n)s rows")


@pytest.mark.parametrize(
    ("english", "complaint"),
    [
        (["%(n)s row", "rows"], "placeholders differ"),
        (["%(m)s row", "%(n)s rows"], "placeholders differ"),
        (["%(n)s 条", "%(n)s rows"], "still Chinese"),
    ],
)
def test_a_wrong_translation_is_refused(tree, english, complaint):
    path = catalogue.po_path(tree)
    catalogue.sync(path, extract.from_tree(tree), {"客户": "Customer", "%(n)s 条": english})

    assert complaint in catalogue.check(path, extract.from_tree(tree)).wrong[0]


def test_english_may_leave_the_number_out_of_one_and_quote_the_console(tree):
    path = catalogue.po_path(tree)
    english = {"客户": "Customer, see 「可信IP」", "%(n)s 条": ["One row", "%(n)s rows"]}
    catalogue.sync(path, extract.from_tree(tree), english)

    assert not catalogue.check(path, extract.from_tree(tree))


def test_filling_a_string_no_source_has_says_so(tree):
    words = tree / "words.json"
    words.write_text('{"没有": "None"}', encoding="utf-8")

    status, lines = said(tree, "fill", words)

    assert (status, lines[0]) == (1, "no source has this string: '没有'")


def test_writing_twice_changes_nothing(tree):
    said(tree, "extract")
    first = catalogue.po_path(tree).read_bytes()
    said(tree, "extract")

    assert catalogue.po_path(tree).read_bytes() == first


def test_compiled_catalogues_speak_english_with_plurals(tree):
    catalogue.sync(
        catalogue.po_path(tree), extract.from_tree(tree), {"客户": "Customer", "%(n)s 条": ["%(n)s row", "%(n)s rows"]}
    )
    (compiled,) = catalogue.compile_all(tree)

    with compiled.open("rb") as file:
        english = gettext.GNUTranslations(file)
    assert english.gettext("客户") == "Customer"
    assert [english.ngettext("%(n)s 条", "%(n)s 条", n) for n in (1, 2)] == ["%(n)s row", "%(n)s rows"]
    assert catalogue.compile_all(tree) == [], "an up-to-date catalogue is not compiled again"


def test_a_source_that_cannot_be_read_is_named(tree):
    (tree / "app/broken.py").write_text('A = _("""', encoding="utf-8")

    with pytest.raises(ValueError, match=r"app/broken\.py"):
        extract.from_tree(tree)


def test_the_product_is_completely_translated():
    problems = catalogue.check(catalogue.po_path(ROOT), extract.from_tree(ROOT))

    assert list(problems.lines()) == []
