"""Signatures after Standard Webhooks 1.0: over id, time of the attempt, and body."""

import base64
import datetime as dt
import secrets
from collections.abc import Sequence

from standardwebhooks import Webhook

SECRET_BYTES = 32


def make_secret() -> str:
    """A fresh secret to sign with."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def sign(*, webhook_id: str, body: str, secrets: Sequence[str], at: dt.datetime) -> dict[str, str]:
    """The headers of one attempt at `at`; several secrets (during a rotation) give several signatures."""
    at = at.astimezone(dt.UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            Webhook(secret).sign(msg_id=webhook_id, timestamp=at, data=body) for secret in secrets
        ),
    }
