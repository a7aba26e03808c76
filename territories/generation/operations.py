"""Dealing one lead to the holder of its ZIP: by hand, and in place of a returned one."""

import datetime as dt

from accounts.models import User
from territories.models import Referral


class AssignRefused(Exception):
    """The lead cannot be referred now; the message says why, and what would help."""


class NoHolder(AssignRefused):
    """Nobody who takes leads holds the lead's ZIP."""


class AlreadyReferred(AssignRefused):
    """The lead has a live referral."""


class Suppressed(AssignRefused):
    """The lead is offered to nobody."""


class CapReached(AssignRefused):
    """The holder has had as many leads as its caps allow."""


class NotWanted(AssignRefused):
    """The holder does not take leads of this score or with these tags."""


class ReturnedBefore(AssignRefused):
    """The lead was returned, and goes only to a later holder of its ZIP."""


def assign_lead(*, lead_id: int, at: dt.datetime, by: User | None) -> Referral:
    """Refer one lead to the holder of its ZIP, as a person wants it: no profile, but wishes, caps and returns hold.

    Raises NoHolder, AlreadyReferred, Suppressed, CapReached, NotWanted, ReturnedBefore, all AssignRefused.
    """
    raise NotImplementedError


def replace_return(*, return_id: int, at: dt.datetime, by: User | None = None) -> Referral | None:
    """Give the contractor of an approved return the best other lead of its ZIPs, by the returned referral's profile.

    None when there is none now: the return stays owed, and the next runs pay it first. Call it in a transaction.
    """
    raise NotImplementedError
