"""Webhooks: where a contractor wants its leads sent, and each message with its attempts."""

import datetime as dt
import uuid

from django.db import models
from django.db.models import Q
from django.urls import reverse

from territories.models.contractors import Contractor
from territories.models.referrals import Referral


class WebhookEndpoint(models.Model):
    """The address a contractor takes messages at, with the secret that signs them (Standard Webhooks)."""

    contractor = models.OneToOneField(Contractor, on_delete=models.CASCADE, related_name="webhook")
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=100, help_text="whsec_ and 24 to 64 bytes in base64; signs, so it is kept.")
    former_secret = models.CharField(max_length=100, blank=True, db_default="")
    former_secret_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then messages carry both signatures."
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"webhook of {self.contractor}"


class WebhookMessageQuerySet(models.QuerySet["WebhookMessage"]):
    def due(self, at: dt.datetime) -> "WebhookMessageQuerySet":
        return self.filter(status=WebhookMessage.Status.PENDING, next_attempt_at__lte=at)

    def dead_letters(self) -> "WebhookMessageQuerySet":
        """Those that were given up and that somebody must look at; a test is not."""
        return self.filter(status=WebhookMessage.Status.DEAD).exclude(kind=WebhookMessage.Kind.TEST)


class WebhookMessage(models.Model):
    """One message to one contractor. Its id and body stay the same over all attempts, so that a receiver can tell."""

    class Kind(models.TextChoices):
        REFERRAL_ASSIGNED = "referral.assigned"
        REFERRAL_CANCELLED = "referral.cancelled"
        REFERRAL_EXPIRED = "referral.expired"
        RETURN_DECIDED = "return.decided"
        TEST = "test"

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    contractor = models.ForeignKey(Contractor, on_delete=models.CASCADE, related_name="messages", db_index=False)
    referral = models.ForeignKey(
        Referral, null=True, blank=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    kind = models.CharField(max_length=30, choices=Kind)
    body = models.TextField(help_text="The JSON that is signed and sent, letter by letter.")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Since it was made, or sent again by a person.")
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is sent next; while an attempt runs, when that counts as lost."
    )
    last_status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last answer.")
    last_error = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookMessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["referral", "kind"],
                condition=Q(referral__isnull=False) & ~Q(kind="return.decided"),
                name="webhookmessage_once",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "delivered", "dead", "cancelled"]),
                name="webhookmessage_known_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["contractor", "next_attempt_at"], condition=Q(status="pending"), name="webhookmessage_to_send"
            ),
            models.Index(fields=["-created_at", "-id"], name="webhookmessage_newest"),
            models.Index(fields=["contractor", "-created_at"], name="webhookmessage_by_contractor"),
            models.Index(fields=["-created_at"], condition=Q(status="dead"), name="webhookmessage_dead"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.contractor} ({self.status})"

    def get_absolute_url(self) -> str:
        return reverse("territories:webhook-message", args=[self.pk])

    @property
    def webhook_id(self) -> str:
        """Its name towards the receiver; the same over all attempts."""
        return f"msg_{self.pk.hex}"


class WebhookAttempt(models.Model):
    """One try to send a message."""

    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(default=0)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status; null: no answer.")
    error = models.TextField(blank=True, db_default="")

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.at:%Y-%m-%d %H:%M}"
