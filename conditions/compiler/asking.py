"""What a tree is asked for: the instant, and how SQL is to find people."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Ask:
    """now: the domain instant. as_of: what happened after it is not known yet."""

    now: datetime
    as_of: bool = False
