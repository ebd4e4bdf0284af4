"""The pieces every page is made of."""

import json
import re

import pytest
from django import forms
from django.contrib import messages
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse, HttpResponseRedirect
from django.template import Context, Engine, Template
from django.test import RequestFactory

from scrm.ui import assets, numbers, toasts, views
from scrm.ui.charts import Chart, Series
from scrm.ui.templatetags import ui
from tests.frontend.lints import ROOT


@pytest.fixture(autouse=True)
def build(settings, tmp_path):
    """A front-end build of the shape Vite writes, so that these tests need no Node.js."""
    dist = tmp_path / "dist"
    dist.mkdir()
    manifest = {
        "src/main.ts": {"file": "assets/app-1.js", "css": ["assets/app-1.css"], "isEntry": True},
        "icons.svg": {"file": "assets/icons-1.svg"},
        "mark.svg": {"file": "assets/mark-1.svg"},
    }
    (dist / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "icons.json").write_text((ROOT / "frontend/icons.json").read_text(encoding="utf-8"), encoding="utf-8")
    settings.FRONTEND_DIST = dist
    settings.UI_TEST_FONTS = False
    return dist


def rendered(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (numbers.number(12860), "12,860"),
        (numbers.number(-3), "−3"),
        (numbers.number(None), "—"),
        (numbers.number(0), "0"),
        (numbers.percent(0.1825), "18.3%"),
        (numbers.percent(-0.003), "−0.3%"),
        (numbers.money(96002400), "¥960,024"),
        (numbers.money(31250), "¥312.50"),
        (numbers.money(-31250), "−¥312.50"),
        (numbers.money(500, "JPY"), "¥500"),
        (numbers.money(100, "THB"), "THB 1"),
        (numbers.money(None), "—"),
        (ui.ms(80), "80 ms"),
        (ui.ms(1685), "1.7 s"),
        (ui.ms(2000), "2 s"),
        (ui.ms(70_000), "70 s"),
        (ui.ms(None), "—"),
    ],
)
def test_figures_are_written_the_house_way(text, wanted):
    assert text == wanted


def test_a_chart_and_its_table_show_the_same_values():
    chart = Chart(
        key="a",
        kind="bar",
        label="新增",
        categories=["6月", "7月"],
        series=[Series("新增", [1200, None], ["/x/", None])],
    )

    html = rendered("{% chart chart %}", chart=chart)

    spec = json.loads(re.search(r'<script id="chart-a" type="application/json">(.*?)</script>', html)[1])
    assert spec["series"] == [{"name": "新增", "values": [1200, None], "links": ["/x/", None]}]
    assert '<a href="/x/">1,200</a>' in html
    assert '<td class="num">—</td>' in html


def test_a_chart_whose_series_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="1 values for 2 categories"):
        Chart(key="a", kind="bar", label="", categories=["6月", "7月"], series=[Series("新增", [1])])


def test_the_page_loads_the_hashed_files_of_the_build():
    html = rendered("{% ui_styles %}{% ui_scripts %}")

    assert 'href="/static/assets/app-1.css"' in html
    assert '<script type="module" src="/static/assets/app-1.js">' in html


def test_a_new_build_is_noticed(build):
    rendered("{% ui_scripts %}")
    path = build / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("app-1", "app-2"), encoding="utf-8")

    assert "app-2.js" in rendered("{% ui_scripts %}")


def test_a_missing_build_is_named(build):
    (build / "manifest.json").unlink()

    with pytest.raises(ImproperlyConfigured, match="npm run build"):
        assets.current()


def test_test_fonts_load_only_when_asked_for(settings, build):
    settings.UI_TEST_FONTS = False
    assert "test-fonts" not in rendered("{% ui_styles %}")

    settings.UI_TEST_FONTS = True
    with pytest.raises(ImproperlyConfigured, match="build:fonts"):
        assets.style_urls()

    (build / "test-fonts").mkdir()
    (build / "test-fonts/index.css").write_text("", encoding="utf-8")
    assert assets.style_urls()[-1] == "/static/test-fonts/index.css"


def test_an_icon_is_hidden_unless_it_means_something():
    assert 'aria-hidden="true"' in ui.icon("users")
    assert 'role="img" aria-label="关闭"' in ui.icon("x", "", "关闭")
    assert "/static/assets/icons-1.svg#users" in ui.icon("users")


def test_a_status_is_a_word_and_an_icon():
    html = ui.pill("<待审批>", "wait")

    assert "&lt;待审批&gt;" in html
    assert "#clock" in html


class Sample(forms.Form):
    deadline = forms.TimeField(label="截止", help_text="说明", error_messages={"required": "请选时间。"})
    note = forms.CharField(label="备注", required=False)
    kind = forms.ChoiceField(label="类型", choices=[("a", "甲")], widget=forms.RadioSelect)


def test_a_field_ties_its_error_and_help_to_the_control():
    html = rendered("{% field form.deadline %}", form=Sample({}))

    described = re.search(r'<input[^>]*aria-describedby="([^"]*)"', html)[1].split()
    assert 'aria-invalid="true"' in html
    assert described
    for name in described:
        assert f'id="{name}"' in html
    assert "请选时间。" in html
    assert 'class="input"' in html


def test_a_field_that_may_stay_empty_says_so_and_a_group_has_a_legend():
    form = Sample()

    assert "field-optional" in rendered("{% field form.note %}", form=form)
    assert "field-optional" not in rendered("{% field form.deadline %}", form=form)
    assert re.search(r"<fieldset.*<legend[^>]*>类型", rendered("{% field form.kind %}", form=form), re.S)


def progress(**context: object) -> str:
    return Engine.get_default().get_template("ui/progress.html").render(Context(context))


def test_progress_polls_while_running_and_stops_when_done():
    running = progress(title="同步", url="/x/", done=1, total=2, state="running", left_seconds=90)
    assert 'hx-get="/x/" hx-trigger="every 2s"' in running
    assert "1 / 2" in running

    for state in ("done", "failed"):
        assert "hx-get" not in progress(title="同步", url="/x/", done=2, total=2, state=state)


def test_progress_without_a_total_claims_none():
    assert "value=" not in progress(title="同步", url="/x/", done=7, total=None, state="running")


def with_messages(request):
    request.session = {}
    request._messages = FallbackStorage(request)
    return request


def answered(request, response):
    def view(inner):
        messages.success(inner, "已保存")
        return response

    return toasts.ToastMiddleware(view)(request)


def test_messages_of_an_htmx_answer_arrive_with_it_in_ascii():
    response = answered(with_messages(RequestFactory().post("/", headers={"HX-Request": "true"})), HttpResponse())

    assert response["HX-Trigger"].isascii()
    assert json.loads(response["HX-Trigger"]) == {"toast": {"toasts": [{"message": "已保存", "tone": "ok"}]}}


@pytest.mark.parametrize("response", [HttpResponseRedirect("/"), HttpResponse(headers={"HX-Redirect": "/"})])
def test_messages_wait_for_the_page_a_redirect_leads_to(response):
    request = with_messages(RequestFactory().post("/", headers={"HX-Request": "true"}))

    assert "HX-Trigger" not in answered(request, response)
    assert [message.message for message in messages.get_messages(request)] == ["已保存"]


def test_a_toast_joins_triggers_already_there():
    response = HttpResponse(headers={"HX-Trigger": '{"saved": 1}'})

    toasts.add_toast(toasts.add_toast(response, "一"), "二", "bad")

    triggers = json.loads(response["HX-Trigger"])
    assert triggers["saved"] == 1
    assert [toast["message"] for toast in triggers["toast"]["toasts"]] == ["一", "二"]


def samples_url(request):
    return views.style_page(request), views.style_phone_page(request)


def test_the_style_page_shows_every_component():
    desktop, phone = samples_url(with_messages(RequestFactory().get("/style/")))

    html = desktop.content.decode() + phone.content.decode()
    for css in ("stat", "table-dense", "pill", "state", "job", "notice", "stepper", "checks", "preview", "timeline",
                "bulk-bar", "pager", "tabs", "filters", "chart", "meter", "drawer", "card", "rows", "thumb-bar"):  # fmt: skip
        assert re.search(rf'class="[^"]*\b{css}\b', html), css


def luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_text_colours_reach_the_contrast_the_standard_asks_for():
    css = (ROOT / "frontend/src/css/tokens.css").read_text(encoding="utf-8")
    token = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", css))

    pairs = [
        (ink, ground)
        for ink in ("ink", "ink-2", "ink-3", "accent", "bad", "ok", "warn")
        for ground in ("surface", "surface-2", "ground")
    ]
    pairs += [(tone, f"{tone}-soft") for tone in ("ok", "warn", "bad")]
    pairs += [("accent-deep", "accent-soft"), ("ink-2", "idle-soft"), ("surface", "accent")]
    weak = [(ink, ground) for ink, ground in pairs if contrast(token[ink], token[ground]) < 4.5]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert weak == []
