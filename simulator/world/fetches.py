"""Jobs of media/upload_by_url."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text

RUNNING, DONE, FAILED = 1, 2, 3


@dataclass
class FetchJob:
    """A file that WeCom fetches itself; `created` is wall time. `errcode` says why it failed."""

    jobid: str
    kind: str
    filename: str
    url: str
    md5: str
    created: float
    status: int = RUNNING
    errcode: int = 0
    media_id: str = ""


@dataclass
class FetchBook:
    """All jobs of a corp; `uploads` counts media/uploadimg by day and month (wall time)."""

    key: str
    jobs: dict[str, FetchJob] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, filename: str, url: str, md5: str, wall: float) -> FetchJob:
        """A job that has just begun."""
        jobid = "job" + digest_text(self.key, "fetch", len(self.jobs), length=29)
        row = self.jobs[jobid] = FetchJob(jobid, kind, filename, url, md5, wall)
        return row

    def keep_image(self, content: bytes) -> str:
        """A picture with an address for ever. Returns its name."""
        name = digest_text(self.key, "picture", len(self.images), length=40)
        self.images[name] = content
        return name
