"""From the names in our sources to the hashed files the front-end build wrote."""

import json
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

ENTRY = "src/main.ts"
ICONS = "icons.svg"
MARK = "mark.svg"


@dataclass(frozen=True)
class Assets:
    """Static paths (relative to STATIC_URL) of one build."""

    script: str
    styles: tuple[str, ...]
    icons: str
    mark: str


_read: dict[Path, tuple[int, Assets]] = {}


def current() -> Assets:
    """The assets of the build in settings.FRONTEND_DIST; read again only when the manifest changed.

    Raises ImproperlyConfigured when the front end was never built.
    """
    path = Path(settings.FRONTEND_DIST) / "manifest.json"
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        raise ImproperlyConfigured("The front end is not built: run `npm run build` in frontend/.") from None
    if path not in _read or _read[path][0] != stamp:
        _read[path] = (stamp, _parse(json.loads(path.read_text(encoding="utf-8"))))
    return _read[path][1]


def _parse(manifest: dict[str, dict]) -> Assets:
    entry = manifest[ENTRY]
    return Assets(
        script=entry["file"],
        styles=tuple(entry.get("css", [])),
        icons=manifest[ICONS]["file"],
        mark=manifest[MARK]["file"],
    )


def icon_url(name: str) -> str:
    """Address of one symbol in the icon file."""
    return f"{static(current().icons)}#{name}"


def style_urls() -> list[str]:
    """Addresses of the style sheets a page loads, the test fonts last when the setting asks for them."""
    urls = [static(path) for path in current().styles]
    if getattr(settings, "UI_TEST_FONTS", False):
        if not (Path(settings.FRONTEND_DIST) / "test-fonts" / "index.css").is_file():
            raise ImproperlyConfigured("UI_TEST_FONTS is on: run `npm run build:fonts` in frontend/.")
        urls.append(static("test-fonts/index.css"))
    return urls
