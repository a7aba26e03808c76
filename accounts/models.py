"""People and the tokens that programs use in their name."""

import zoneinfo

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from knox.models import AbstractAuthToken


def validate_time_zone(name: str) -> None:
    """Refuse a name that the IANA time zone database does not know."""
    if name and name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is not a time zone; write one such as America/Chicago.")


class User(AbstractUser):  # type: ignore[django-manager-missing]  # knox names its reverse relation itself
    """A person who logs in; rights come from groups (see roles.py)."""

    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text="Such as America/Chicago; blank takes the installation's.",
    )
    wants_digest = models.BooleanField(default=False, help_text="Gets a mail each day on which something expires soon.")
    notices_hidden_date = models.DateField(
        null=True, blank=True, help_text="The day for which the person has put the banner of expiring tags away."
    )


class ApiToken(AbstractAuthToken):
    """A program's key to the API; only its hash is stored."""

    name = models.CharField(max_length=100, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    is_sandbox = models.BooleanField(
        default=False,
        help_text="For a contractor's programmers to try: sees invented referrals only.",
    )

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        swappable = "KNOX_TOKEN_MODEL"

    def __str__(self) -> str:
        return f"{self.name or self.token_key} ({self.user})"


class IdempotencyKey(models.Model):
    """A POST that a program may send again: what it was, and the answer that it got and gets again."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=200)
    route = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the request's body.")
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True, help_text="Text, not jsonb: the answer comes again letter by letter.")
    is_final = models.BooleanField(
        default=False, help_text="False: the effect is there, and the answer still lacks what only its commit brings."
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotencykey_unique")]
        indexes = [models.Index(fields=["created_at"], name="idempotencykey_by_age")]

    def __str__(self) -> str:
        return f"{self.key} of {self.user}"
