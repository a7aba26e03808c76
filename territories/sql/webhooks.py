"""Claiming messages, so that each is sent by one worker at a time."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

PER_CONTRACTOR = 4  # at once: one receiver that hangs holds up its own messages only

# Effect: counts an attempt and sets the moment at which it is taken for lost. A referral that is not assigned any more,
# whose time is up, or whose territory has ended, is not sent, whether or not its message was withdrawn yet. Endpoints
# come in random order, so that none waits behind others for ever. Index: webhookmessage_to_send, one probe an endpoint.
_CLAIM = """
    WITH picked AS MATERIALIZED (
        SELECT due.id, endpoint.url, endpoint.secret,
            CASE WHEN endpoint.former_secret_until > %(at)s THEN endpoint.former_secret ELSE '' END AS former_secret
        FROM (
            SELECT * FROM territories_webhookendpoint WHERE contractor_id <> ALL(%(busy)s) ORDER BY random()
        ) endpoint
        CROSS JOIN LATERAL (
            SELECT message.id FROM territories_webhookmessage message
            LEFT JOIN territories_referral referral ON referral.id = message.referral_id
            WHERE message.contractor_id = endpoint.contractor_id AND message.status = 'pending'
                AND message.next_attempt_at <= %(at)s AND (endpoint.is_enabled OR message.kind = 'test')
                AND (message.kind <> 'referral.assigned' OR (
                    referral.status = 'assigned' AND (referral.expires_at <= %(at)s) IS NOT TRUE
                    AND NOT EXISTS (
                        SELECT 1 FROM territories_territory territory
                        WHERE territory.id = referral.territory_id AND territory.to_at <= %(at)s
                    )
                ))
            ORDER BY message.next_attempt_at LIMIT %(per_contractor)s
            FOR NO KEY UPDATE OF message SKIP LOCKED
        ) due
        LIMIT %(limit)s
    )
    UPDATE territories_webhookmessage message SET attempts = attempts + 1, next_attempt_at = %(lost_at)s
    FROM picked WHERE message.id = picked.id
    RETURNING message.id, message.contractor_id, message.referral_id, message.kind, message.body, message.attempts,
        picked.url, picked.secret, picked.former_secret
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A message that is this process's to send until `lost_at`."""

    id: uuid.UUID
    contractor_id: int
    referral_id: int | None
    kind: str
    body: str
    attempt: int
    url: str
    secrets: tuple[str, ...]
    lost_at: dt.datetime


def claim(*, at: dt.datetime, lost_at: dt.datetime, limit: int, busy: Sequence[int] = ()) -> list[Claim]:
    """Up to `limit` due messages, none of the contractors in `busy`. Call it outside of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {"at": at, "lost_at": lost_at, "limit": limit, "busy": list(busy), "per_contractor": PER_CONTRACTOR},
        )
        return [
            Claim(
                id=pk,
                contractor_id=contractor_id,
                referral_id=referral_id,
                kind=kind,
                body=body,
                attempt=attempts,
                url=url,
                secrets=tuple(filter(None, (secret, former_secret))),
                lost_at=lost_at,
            )
            for pk, contractor_id, referral_id, kind, body, attempts, url, secret, former_secret in cursor.fetchall()
        ]
