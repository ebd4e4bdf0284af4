"""Short news in the corner of the page: with a redirect through Django's messages, with a fragment through HX-Trigger."""

import json
from collections.abc import Callable
from typing import Literal

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

Tone = Literal["ok", "warn", "bad", "info"]
TONES: dict[int, Tone] = {
    messages.DEBUG: "info",
    messages.INFO: "info",
    messages.SUCCESS: "ok",
    messages.WARNING: "warn",
    messages.ERROR: "bad",
}


def add_toast(response: HttpResponse, message: str, tone: Tone = "info") -> HttpResponse:
    """Let the answer to an htmx request say something; several add up."""
    triggers = json.loads(response.get("HX-Trigger") or "{}")
    toasts = triggers.setdefault("toast", {"toasts": []})["toasts"]
    toasts.append({"message": str(message), "tone": tone})
    response["HX-Trigger"] = json.dumps(triggers)  # ASCII: header values cannot carry 汉字
    return response


class ToastMiddleware:
    """Messages added while answering an htmx request arrive with that answer, not one page later."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        stays = "HX-Request" in request.headers and not (300 <= response.status_code < 400)
        # A full page (boosted or restored) renders its own messages; HX-Redirect leads to one that will.
        if not stays or "HX-Redirect" in response or "HX-Refresh" in response:
            return response
        for message in messages.get_messages(request):
            add_toast(response, message.message, TONES.get(message.level, "info"))
        return response
