"""A full read of a corp: directory and tags, each guide's customers (staged, then applied), groups, and what is gone.

`runs` begins, confirms and shows one; `drive` takes it through its steps, a slice at a time.
"""

from wecom_bridge.services.sync.runs import decide, start_sync

__all__ = ["decide", "start_sync"]
