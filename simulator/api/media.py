"""Temporary media (临时素材) and attachments of moments and products."""

import re

from aiohttp import web

from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.materials import check_material
from simulator.api.registry import Call, endpoint
from simulator.clock import wall

MB = 1024 * 1024
LIMITS = {"image": 10 * MB, "voice": 2 * MB, "video": 10 * MB, "file": 20 * MB}
ATTACHMENT_KINDS = {1: ("image", "video"), 2: ("image",)}
ATTACHMENT_LIMIT = 10 * MB
SMALLEST = 6


def _looks_like(kind: str, content: bytes) -> bool:
    if kind == "image":
        return content.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff"))
    if kind == "voice":
        return content.startswith(b"#!AMR")
    return kind != "video" or content[4:8] == b"ftyp"


def _is_whole(content: bytes) -> bool:
    """Whether a picture that begins as a real one also ends as one."""
    if content[12:16] == b"IHDR":
        return content.rstrip(b"\x00").endswith(b"IEND\xaeB`\x82")
    return content[6:10] not in (b"JFIF", b"Exif") or content.rstrip(b"\x00").endswith(b"\xff\xd9")


def read_file(call: Call, kind: str, limit: int, over: int = 45001) -> tuple[str, str, bytes]:
    """The uploaded part. Raises WeComError 44001, 40006, 45001 (`over`), 40005 or 40123."""
    if call.upload is None or not call.upload[2]:
        raise WeComError(44001)
    content = call.upload[2]
    if len(content) < SMALLEST:
        raise WeComError(40006)
    if len(content) > limit:
        raise WeComError(over)
    if not _looks_like(kind, content):
        raise WeComError(40005)
    if kind == "image" and call.sim.switches.check_images and not _is_whole(content):
        raise WeComError(40123)
    return call.upload


@endpoint("media/upload", Field("type", missing=40004), upload=True)
def upload(call: Call) -> dict:
    """Keep a file for three days; `created_at` is a text here."""
    kind = call["type"]
    if kind not in LIMITS:
        raise WeComError(40004)
    name, content_type, content = read_file(call, kind, LIMITS[kind])
    row = call.corp.media.add(kind, "message", name, content_type, content, wall())
    return {"type": kind, "media_id": row.media_id, "created_at": str(int(row.created))}


@endpoint(
    "media/upload_attachment",
    Field("media_type", missing=40004),
    Field("attachment_type", int, missing=41072),
    upload=True,
)
def upload_attachment(call: Call) -> dict:
    """A file for a moment (1) or a product (2), useless elsewhere; `created_at` is a number here."""
    kinds = ATTACHMENT_KINDS.get(call["attachment_type"])
    if kinds is None:
        raise WeComError(41072)
    if call["media_type"] not in kinds:
        raise WeComError(40004)
    check_material(call["media_type"], call.upload[2] if call.upload else b"")
    name, content_type, content = read_file(call, call["media_type"], ATTACHMENT_LIMIT)
    use = "moment" if call["attachment_type"] == 1 else "product"
    row = call.corp.media.add(call["media_type"], use, name, content_type, content, wall())
    return {"type": row.kind, "media_id": row.media_id, "created_at": int(row.created)}


@endpoint("media/get", Field("media_id", missing=41006), method="GET")
def download(call: Call) -> web.StreamResponse:
    """The bytes as they were uploaded; a Range is served as 206."""
    row = call.corp.media.find(call["media_id"], wall())
    if row is None:
        raise WeComError(40007)
    headers = {"Content-disposition": f'attachment; filename="{row.filename}"', "Content-Type": row.content_type}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", call.request.headers.get("Range", ""))
    if not asked:
        return web.Response(body=row.content, headers=headers)
    begin, end = int(asked[1]), min(int(asked[2] or len(row.content)), len(row.content) - 1)
    headers["Content-Range"] = f"bytes {begin}-{end}/{len(row.content)}"
    return web.Response(status=206, body=row.content[begin : end + 1], headers=headers)
