"""Every page of tags, segments and rules in a real browser: desk and phone, nothing for axe, nothing wider than the screen."""

import pytest
from django.db import transaction

from tests.support.browsing import faults, open_page
from tests.support.core import log_in
from tests.tagging.showroom import Showroom

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# Pages that look another way on the phone; of the others axe would say the same again, and takes its time.
ON_THE_PHONE = ("tags", "segments", "segment", "segment-edit", "rules", "rule", "rule-edit")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 375, "height": 812}


@pytest.fixture
def showroom(acme):
    with transaction.atomic():
        return Showroom()


def test_every_page_fits_and_reads(chromium, site, showroom):
    """One load of each; the screen turns narrow afterwards, as a window does."""
    page, wrong = open_page(chromium, site, log_in("hq")), []
    for name, path in showroom.pages().items():
        page.set_viewport_size(DESK)
        assert page.goto(site + path, wait_until="domcontentloaded").status == 200, path
        part = "html" if name == "tags" else "main"  # what stands around it is the same on every page
        wrong += faults(page, name, part)
        page.set_viewport_size(PHONE)
        wrong += faults(page, name, part if name in ON_THE_PHONE else None)
    page.context.close()
    assert wrong == []
