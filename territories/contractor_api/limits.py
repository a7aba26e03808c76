"""How many requests a contractor may send in a minute."""

import datetime as dt
from dataclasses import dataclass

from django.conf import settings

from accounts.counting import count

SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of the running minute after this request."""

    limit: int
    remaining: int
    reset_seconds: int
    is_exceeded: bool

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


def count_request(*, contractor_id: int, is_write: bool, at: dt.datetime) -> Allowance:
    """Note a request. Reads and writes have a minute each; without the cache nothing is refused."""
    limit = settings.CONTRACTOR_WRITES if is_write else settings.CONTRACTOR_READS
    minute, second = divmod(int(at.timestamp()), SECONDS)
    key = f"contractor-requests:{'w' if is_write else 'r'}:{contractor_id}:{minute}"
    so_far = count(key, 2 * SECONDS) or 0
    return Allowance(
        limit=limit, remaining=max(0, limit - so_far), reset_seconds=SECONDS - second, is_exceeded=so_far > limit
    )
