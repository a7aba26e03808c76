"""What happens when a ZIP gets a holder: the leads that waited in it are looked at again, and assigned."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import User


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Referrals that waited: assigned to the holder, and expired because they no longer fit."""

    assigned: int = 0
    expired: int = 0


def take_up_zips(*, zips: Sequence[str], at: dt.datetime, by: User | None = None) -> TakenUp:
    """Assign what waits in ZIPs that somebody holds at `at`: by today's score, tags, wishes and caps, best first.

    The others expire; where the holder is not active they go on waiting. Call it in the transaction that changed the
    holder, or in one of its own; it takes the dealing lock.
    """
    return TakenUp()
