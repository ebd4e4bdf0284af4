"""Pictures with an address, and files that WeCom fetches itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UploadedImage:
    """The address lasts; it is shown only inside WeCom."""

    url: str


@dataclass(frozen=True)
class FetchJob:
    jobid: str


@dataclass(frozen=True)
class FetchResult:
    """status: 1 running, 2 done, 3 failed with errcode. created_at: Unix seconds; media_id is good for 3 days after it."""

    status: int
    media_id: str = ""
    created_at: int = 0
    errcode: int = 0
    errmsg: str = ""
