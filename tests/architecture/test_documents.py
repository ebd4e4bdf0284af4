"""The documents made from the code are what the code says."""

from pathlib import Path

import pytest
from django.conf import settings

from console.reference import documents


@pytest.mark.parametrize("name", ["data-model.md", "metrics.md"])
def test_a_made_document_is_current(name: str):
    written = (Path(settings.BASE_DIR) / "docs" / name).read_text(encoding="utf-8")
    assert written == documents()[name], "run manage.py write_docs"
