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

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        swappable = "KNOX_TOKEN_MODEL"

    def __str__(self) -> str:
        return f"{self.name or self.token_key} ({self.user})"
