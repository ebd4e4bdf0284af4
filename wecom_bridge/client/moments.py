"""客户朋友圈 calls, which wechatpy lacks."""

import io
from typing import Any

from wechatpy.client.api.base import BaseWeChatAPI


class Moments(BaseWeChatAPI):
    """What is no ordinary POST of this family; the rest goes through Customers.send."""

    def get_moment_task_result(self, jobid: str) -> dict[str, Any]:
        return self._get("externalcontact/get_moment_task_result", params={"jobid": jobid})

    def upload_attachment(
        self, *, media_type: str, attachment_type: int, filename: str, content: bytes, timeout: tuple[float, float]
    ) -> dict[str, Any]:
        params = {"media_type": media_type, "attachment_type": attachment_type}
        file = {"media": (filename, io.BytesIO(content))}
        return self._post("media/upload_attachment", params=params, files=file, timeout=timeout)
