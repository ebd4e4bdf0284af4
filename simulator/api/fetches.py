"""Pictures with an address (media/uploadimg), and files that WeCom fetches itself (media/upload_by_url)."""

import asyncio
import hashlib
import re

import aiohttp

from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.media import MB, read_file
from simulator.api.registry import Call, endpoint
from simulator.callbacks import events
from simulator.clock import local, wall
from simulator.world.fetches import DONE, FAILED, RUNNING, FetchJob

CHUNK, FILE_MOST = 20 * MB, 200 * MB
FETCH_SECONDS = 120
NO_RANGE, TOO_BIG, NOT_FETCHED = 830001, 830002, 830003
GROUP_WELCOME = 1


@endpoint("media/uploadimg", upload=True)
def upload_picture(call: Call) -> dict:
    """A picture that stays, at an address shown only inside WeCom. 45009 when the day's or the month's number is used up."""
    switches, book = call.sim.switches, call.corp.fetches
    _name, _kind, content = read_file(call, "image", switches.uploadimg_bytes, over=40009)
    day, month = local(wall()).strftime("%Y-%m-%d"), local(wall()).strftime("%Y-%m")
    for slot, most in ((day, switches.uploadimg_per_day), (month, switches.uploadimg_per_month)):
        if book.uploads.get(slot, 0) >= most:
            raise WeComError(45009)
    for slot in (day, month):
        book.uploads[slot] = book.uploads.get(slot, 0) + 1
    return {"url": f"{call.request.url.origin()}/wwpic/{book.keep_image(content)}/0"}


@endpoint(
    "media/upload_by_url",
    Field("scene", int, missing=40058, least=GROUP_WELCOME, most=GROUP_WELCOME),
    Field("type", missing=40004),
    Field("filename", missing=40058),
    Field("url", missing=40058),
    Field("md5", missing=40058),
)
def fetch(call: Call) -> dict:
    """Begin to fetch a video or a file; upload_media_job_finish tells when it is over."""
    if call["type"] not in ("video", "file"):
        raise WeComError(40004)
    if not re.match(r"https?://", call["url"]):
        raise WeComError(40058, "invalid Request Parameter, url")
    job = call.corp.fetches.add(call["type"], call["filename"], call["url"], call["md5"].lower(), wall())
    task = asyncio.get_running_loop().create_task(_carry_out(call, job))
    call.sim.background.add(task)
    task.add_done_callback(call.sim.background.discard)
    return {"jobid": job.jobid}


@endpoint("media/get_upload_by_url_result", Field("jobid", missing=40058))
def fetch_result(call: Call) -> dict:
    """1 running, 2 done with the media_id, 3 failed with the reason. A restart ends what was running."""
    job = call.corp.fetches.jobs.get(call["jobid"])
    if job is None:
        raise WeComError(40058, "invalid Request Parameter, jobid")
    if job.status == RUNNING and wall() - job.created > FETCH_SECONDS + 5:
        job.status, job.errcode = FAILED, NOT_FETCHED
    detail: dict = {"errcode": job.errcode, "errmsg": WeComError(job.errcode).text if job.errcode else "ok"}
    if job.status == DONE:
        detail |= {"media_id": job.media_id, "created_at": str(int(job.created))}
    return {"status": job.status, "detail": detail}


async def _carry_out(call: Call, job: FetchJob) -> None:
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            content = await _download(job.url)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != job.md5:
            raise WeComError(NOT_FETCHED)
        row = call.corp.media.add(job.kind, "message", job.filename, "application/octet-stream", content, wall())
        job.status, job.media_id = DONE, row.media_id
    except WeComError as error:
        job.status, job.errcode = FAILED, error.code
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        job.status, job.errcode = FAILED, NOT_FETCHED
    call.sim.touched = True
    call.sim.emit(call.corp, events.Event("upload_media_job_finish", [("JobId", job.jobid)]))


async def _download(url: str) -> bytes:
    """The file in pieces of at most 20 MB. Raises WeComError 830001 for a server without Range, 830002 above 200 MB."""
    content, total = b"", 1
    async with aiohttp.ClientSession() as session:
        while len(content) < total:
            part = f"bytes={len(content)}-{len(content) + CHUNK - 1}"
            async with session.get(url, headers={"Range": part}) as response:
                if response.status == 200:
                    raise WeComError(NO_RANGE)
                span = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
                if response.status != 206 or not span:
                    raise WeComError(NOT_FETCHED)
                total = int(span[1])
                if total > FILE_MOST:
                    raise WeComError(TOO_BIG)
                piece = await response.read()
            if not piece:
                raise WeComError(NOT_FETCHED)
            content += piece
    return content
