"""Saying that contractors got leads, so that their webhooks need not wait for the sweep."""

from collections.abc import Sequence

from django.db import transaction


def announce_assigned(referral_ids: Sequence[int]) -> None:
    """Wake the sending of webhooks when the running transaction commits; without a broker its sweep does it."""
    if referral_ids:
        transaction.on_commit(_wake)


def _wake() -> None:
    from territories.tasks import wake_webhooks  # its module imports who announces

    wake_webhooks()
