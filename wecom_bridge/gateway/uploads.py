"""Pictures with an address, and files that WeCom fetches itself (platform reference F)."""

import io

from wecom_bridge.gateway.core import UPLOAD_KEPT, UPLOAD_TIMEOUT, Core
from wecom_bridge.shapes.pieces import Row, integer, needed, part, seconds, text
from wecom_bridge.shapes.uploads import FetchJob, FetchResult, UploadedImage


class Uploads(Core):
    """素材 beyond temporary media."""

    def upload_image(self, *, filename: str, content: bytes) -> UploadedImage:
        """media/uploadimg: JPG or PNG of more than 5 bytes (40006) and at most 2 MB (40009), 1000 a day and 3000 a month
        (45009); 40005 no picture, 40123 a broken one, 44001 empty. The address lasts and works inside WeCom alone (F)."""

        def send() -> UploadedImage:
            files = {"media": (filename, io.BytesIO(content))}
            return UploadedImage(
                needed(self.client.post("media/uploadimg", files=files, timeout=UPLOAD_TIMEOUT), "url")
            )

        return self._call("media/uploadimg", send, kept=UPLOAD_KEPT)

    def upload_by_url(self, *, type: str, filename: str, url: str, md5: str, scene: int = 1) -> FetchJob:
        """media/upload_by_url: a video or file of at most 200 MB from a server that serves parts, for group welcomes; the end
        is told by upload_media_job_finish (F)."""
        given = {"scene": scene, "type": type, "filename": filename, "url": url, "md5": md5}
        return self._ask("media/upload_by_url", given, lambda answer: FetchJob(needed(answer, "jobid")), under="")

    def get_upload_by_url_result(self, *, jobid: str) -> FetchResult:
        """media/get_upload_by_url_result: 830001 no parts served, 830002 too big, 830003 not fetched (F)."""
        return self._ask("media/get_upload_by_url_result", {"jobid": jobid}, read_result, under="")


def read_result(answer: Row) -> FetchResult:
    detail = part(answer, "detail")
    return FetchResult(
        status=integer(answer, "status"),
        media_id=text(detail, "media_id"),
        created_at=seconds(detail, "created_at"),
        errcode=integer(detail, "errcode"),
        errmsg=text(detail, "errmsg"),
    )
