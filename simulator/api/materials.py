"""What a moment's or a product's file must be: its size, an image's edges, a video's kind and length."""

import struct

from simulator.api.errors import WeComError

MB = 1024 * 1024
BYTES_MOST = 10 * MB
LONG_EDGE, SHORT_EDGE = 10_800, 1080
VIDEO_SECONDS = 30


def check_material(kind: str, content: bytes) -> None:
    """Raises WeComError 41080 for the size, 41090 for a video that is no MP4, 41081 for the edges, 41082 for the length.

    What the file does not tell is not judged.
    """
    if len(content) > BYTES_MOST:
        raise WeComError(41080)
    if kind == "video" and content:
        if content[4:8] != b"ftyp":
            raise WeComError(41090)
        seconds = video_seconds(content)
        if seconds is not None and seconds > VIDEO_SECONDS:
            raise WeComError(41082)
        return
    edges = image_edges(content)
    if edges and (max(edges) > LONG_EDGE or min(edges) > SHORT_EDGE):
        raise WeComError(41081)


def image_edges(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG or a JPEG; None when it does not say."""
    if content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return width, height
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the frame's header
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + max(length, 2)
    return None


def video_seconds(content: bytes) -> float | None:
    """The length in an MP4's movie header; None when it does not say."""
    at = content.find(b"mvhd")
    wide = at >= 0 and content[at + 4 : at + 5] == b"\x01"  # version 1 has 64-bit times
    begin, layout = at + (24 if wide else 16), ">IQ" if wide else ">II"
    raw = content[begin : begin + struct.calcsize(layout)]
    if at < 0 or len(raw) < struct.calcsize(layout):
        return None
    scale, length = struct.unpack(layout, raw)
    return length / scale if scale else None
