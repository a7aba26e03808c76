"""API tokens of a contractor's login: made, rotated, revoked. The token itself is told once."""

import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from accounts.models import ApiToken, User
from territories.contractors.trail import Kind, note_event
from territories.models import Contractor

MAX_DAYS = 3_650
MAX_HOURS = 24 * 30


class TokenRefused(Exception):
    """No such token can be made of this contractor."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its text, which the database does not keep."""

    token: ApiToken
    text: str


def tokens_of(contractor: Contractor, at: dt.datetime) -> list[ApiToken]:
    """Those that open the API at `at`, the newest first."""
    tokens = ApiToken.objects.filter(user=contractor.user_id).order_by("-created") if contractor.user_id else []
    return [token for token in tokens if token.expiry is None or token.expiry > at]


def create_token(
    *, contractor: Contractor, name: str, days: int | None, is_sandbox: bool, at: dt.datetime, by: User | None
) -> NewToken:
    """A token that expires after so many days, or never. Raises TokenRefused."""
    if contractor.user is None:
        raise TokenRefused(f"{contractor} has no login yet; make one first.")
    if not name.strip():
        raise TokenRefused("Give the token a name that says what will use it.")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise TokenRefused(f"A token lasts 1 to {MAX_DAYS:,} days, or has no end.")
    expiry = None if days is None else at + dt.timedelta(days=days)
    with transaction.atomic():
        new = _make(contractor.user, name=name.strip()[:100], is_sandbox=is_sandbox, expiry=expiry)
        note_event(contractor=contractor, kind=Kind.TOKEN_MADE, at=at, by=by, note=new.token.name)
    return new


def _make(user: User, *, name: str, is_sandbox: bool, expiry: dt.datetime | None) -> NewToken:
    with transaction.atomic():
        # Knox would count from a clock of its own.
        token, text = ApiToken.objects.create(user=user, name=name, expiry=None, is_sandbox=is_sandbox)
        if expiry is not None:
            token.expiry = expiry
            token.save(update_fields=["expiry"])
    return NewToken(token, text)


def rotate_token(*, contractor: Contractor, token_key: str, hours: int, at: dt.datetime, by: User | None) -> NewToken:
    """A new token in the place of this one, which goes on working for so many hours. Raises TokenRefused.

    The new one has its name and kind, and lasts as long as the former was made to last.
    """
    if not 0 <= hours <= MAX_HOURS:
        raise TokenRefused(f"The former token may go on for 0 to {MAX_HOURS:,} hours.")
    with transaction.atomic():
        old = _find(contractor, token_key)
        lifetime = None if old.expiry is None else old.expiry - old.created
        new = _make(old.user, name=old.name, is_sandbox=old.is_sandbox, expiry=lifetime and at + lifetime)
        until = at + dt.timedelta(hours=hours)
        if hours == 0:
            old.delete()
        elif old.expiry is None or old.expiry > until:
            ApiToken.objects.filter(pk=old.pk).update(expiry=until)
        note_event(contractor=contractor, kind=Kind.TOKEN_ROTATED, at=at, by=by, note=old.name)
    return new


def revoke_token(*, contractor: Contractor, token_key: str, at: dt.datetime, by: User | None) -> str:
    """Close a token at once; the name it had. Raises TokenRefused."""
    token = _find(contractor, token_key)
    with transaction.atomic():
        token.delete()
        note_event(contractor=contractor, kind=Kind.TOKEN_REVOKED, at=at, by=by, note=token.name)
    return token.name


def _find(contractor: Contractor, token_key: str) -> ApiToken:
    token: ApiToken | None = None
    if contractor.user_id is not None and token_key.isalnum():
        token = ApiToken.objects.select_related("user").filter(user=contractor.user_id, token_key=token_key).first()
    if token is None:
        raise TokenRefused("This token is not there any more; somebody has revoked it, or it has expired.")
    return token
