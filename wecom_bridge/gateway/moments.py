"""Moments (客户朋友圈, reference 8): a job makes the task, every sender publishes it by hand or does not."""

import io
from typing import Any

from wecom_bridge.gateway.core import CUSTOMER_CONTACT, UPLOAD_KEPT, UPLOAD_TIMEOUT, Core
from wecom_bridge.shapes import moments as shapes

MOMENT_MATERIAL, PRODUCT_MATERIAL = 1, 2


class Moments(Core):
    """All may raise CallError."""

    def add_moment_task(
        self,
        *,
        visible_range: dict[str, Any],
        text: dict[str, Any] | None = None,
        attachments: list[dict[str, Any]] | None = None,
    ) -> shapes.MomentJob:
        """EC/add_moment_task: ≤ 2000 characters and 4000 bytes; 9 images, or 1 video, or 1 link; 10 calls a minute per corp.

        What is wrong with the content stands in the job's result. 41078: too many jobs. Raises ValueError without senders and
        tags: WeCom takes that for all members with all their customers.
        """
        senders, customers = visible_range.get("sender_list") or {}, visible_range.get("external_contact_list") or {}
        if not (senders.get("user_list") or senders.get("department_list") or customers.get("tag_list")):
            raise ValueError("a moment needs senders or tags")
        body = {"visible_range": visible_range, "text": text, "attachments": attachments or None}
        return self._ask("add_moment_task", body, shapes.MomentJob.read)

    def get_moment_task_result(self, *, jobid: str) -> shapes.MomentJobState:
        """EC/get_moment_task_result: within 24 h. status 1 pending, 2 running, 3 done with `result`."""
        return self._fetch("get_moment_task_result", shapes.MomentJobState.read, under=CUSTOMER_CONTACT, jobid=jobid)

    def cancel_moment_task(self, *, moment_id: str) -> dict[str, Any]:
        """EC/cancel_moment_task: for whoever has not published it. 41067 not the corp's, 41079 being dispatched."""
        return self._ask("cancel_moment_task", {"moment_id": moment_id}, dict)

    def get_moment_list(
        self, *, start_time: int, end_time: int, creator: str | None = None, filter_type: int | None = None,
        cursor: str | None = None, limit: int = 20,
    ) -> shapes.MomentList:  # fmt: skip
        """EC/get_moment_list: created within at most 30 days; filter_type 0 corp, 1 personal, 2 all (default); 20 a page."""
        body = {"start_time": start_time, "end_time": end_time, "creator": creator, "filter_type": filter_type}
        return self._ask("get_moment_list", body | {"cursor": cursor, "limit": limit}, shapes.MomentList.read)

    def get_moment_task(self, *, moment_id: str, cursor: str | None = None, limit: int = 1000) -> shapes.MomentTaskList:
        """EC/get_moment_task: its senders, 1,000 a page; of moments the corp made (41067)."""
        body = {"moment_id": moment_id, "cursor": cursor, "limit": limit}
        return self._ask("get_moment_task", body, shapes.MomentTaskList.read)

    def get_moment_customer_list(
        self, *, moment_id: str, userid: str, cursor: str | None = None, limit: int = 1000
    ) -> shapes.MomentCustomerList:
        """EC/get_moment_customer_list: customers of a sender who may see it, 1,000 a page. 41061: not that member's."""
        body = {"moment_id": moment_id, "userid": userid, "cursor": cursor, "limit": limit}
        return self._ask("get_moment_customer_list", body, shapes.MomentCustomerList.read)

    def get_moment_send_result(
        self, *, moment_id: str, userid: str, cursor: str | None = None, limit: int = 5000
    ) -> shapes.MomentCustomerList:
        """EC/get_moment_send_result: customers it was shown to, 5,000 a page. 41062: not published yet."""
        body = {"moment_id": moment_id, "userid": userid, "cursor": cursor, "limit": limit}
        return self._ask("get_moment_send_result", body, shapes.MomentCustomerList.read)

    def get_moment_comments(self, *, moment_id: str, userid: str) -> shapes.MomentComments:
        """EC/get_moment_comments: likes and comments below a sender's publication. 41062: not published yet."""
        body = {"moment_id": moment_id, "userid": userid}
        return self._ask("get_moment_comments", body, shapes.MomentComments.read)

    def upload_attachment(
        self, *, media_type: str, filename: str, content: bytes, attachment_type: int = MOMENT_MATERIAL
    ) -> shapes.UploadedAttachment:
        """media/upload_attachment: image or video of ≤ 10 MB (video ≤ 30 s), good for 3 days. attachment_type 1 moments, 2 products.

        41080 size, 41081 resolution, 41082 length, 41090 not MP4 (platform reference F). Ids of media/upload do not serve here.
        """
        params = {"media_type": media_type, "attachment_type": attachment_type}

        def send() -> shapes.UploadedAttachment:
            path, files = "media/upload_attachment", {"media": (filename, io.BytesIO(content))}
            return shapes.UploadedAttachment.read(
                self.client.post(path, params=params, files=files, timeout=UPLOAD_TIMEOUT)
            )

        return self._call("media/upload_attachment", send, kept=UPLOAD_KEPT)
