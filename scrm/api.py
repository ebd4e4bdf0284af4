"""/api/v1/ conventions: keyset cursors, one error shape."""

from typing import Any

from django.http import JsonResponse
from rest_framework.exceptions import APIException
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler

from scrm.lib.errors import UserError


class CursorPage(CursorPagination):
    """?cursor=…&limit=… (1..200, default 50), newest first; {"next", "previous", "results"}."""

    ordering = "-id"
    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"


def error_response(error: Exception, context: dict[str, Any]) -> Response | JsonResponse | None:
    """{"error": {"code", "message", "fields"}} for every refusal."""
    if isinstance(error, UserError):
        body = {"code": error.code, "message": str(error.message), "fields": error.fields}
        return Response({"error": body}, status=error.status)
    response = exception_handler(error, context)
    if response is None:
        return None
    detail = error.detail if isinstance(error, APIException) else str(error)
    fields = detail if isinstance(detail, dict) else {}
    code = error.get_codes() if isinstance(error, APIException) and not fields else "invalid"
    message = str(detail) if not fields else "; ".join(f"{key}: {value}" for key, value in fields.items())
    response.data = {
        "error": {"code": code if isinstance(code, str) else "invalid", "message": message, "fields": fields}
    }
    return response
