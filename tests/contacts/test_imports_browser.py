"""An import in a real browser: from the file to the figures, and back, at both widths."""

from datetime import date

import pytest
from playwright.sync_api import expect

from contacts.models import Contact
from tests.support import contacts as people
from tests.support.browsing import check, open_page
from tests.support.core import log_in
from tests.support.imports import work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FILE = "会员号,external_userid,生日,新增手机号,备注\n001,wm1,1990-05-20,13812345678,老客\n002,wm2,1991-06-01,,\n003,wm9,昨天,12345,\n".encode(
    "gb18030"
)


def test_a_file_is_matched_tried_brought_in_and_taken_back(chromium, site, acme, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    for number, name in enumerate(("小圆子", "阿May"), start=1):
        people.make_identity(people.make_contact(name), value=f"wm{number}")
    client = log_in("hq")
    page = open_page(chromium, site, client)
    page.goto(f"{site}/imports/")
    check(page, "imports")
    page.get_by_role("radio", name="客户资料").check()
    page.get_by_label("文件", exact=True).set_input_files({"name": "会员.csv", "mimeType": "text/csv", "buffer": FILE})
    page.get_by_role("button", name="上传并对应列").click()
    expect(page.get_by_label("「生日」导入为")).to_have_value("birthday")
    expect(page.get_by_label("「备注」导入为")).to_have_value("")
    check(page, "import-columns")
    page.get_by_role("button", name="试运行").click()
    expect(page.get_by_text("进行中")).to_be_visible()
    work()
    start = page.get_by_role("button", name="开始导入")
    expect(start).to_be_visible()  # the page has noticed by itself
    check(page, "import-tried")
    assert not Contact.objects.exclude(birthday=None).exists()
    start.click()
    expect(page.get_by_text("进行中")).to_be_visible()
    work()
    expect(page.get_by_role("link", name="下载未导入的行")).to_be_visible()
    check(page, "import-done")
    address = page.url
    assert Contact.objects.get(name="小圆子").birthday == date(1990, 5, 20)
    page.get_by_role("button", name="撤销导入").click()
    page.get_by_role("dialog").get_by_role("button", name="撤销导入").click()
    expect(page.get_by_text("进行中")).to_be_visible()
    work()
    expect(page.get_by_text("已撤销 2 行")).to_be_visible()
    assert not Contact.objects.exclude(birthday=None).exists()
    page.context.close()

    phone = open_page(chromium, site, client, 375)
    for name, path in (("imports", f"{site}/imports/"), ("import-undone", address)):
        phone.goto(path)
        check(phone, name)
    phone.context.close()
