"""Contractor: who buys leads, in which ZIPs, how many and of which kind."""

import zoneinfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse

from accounts.models import User, validate_time_zone
from tags.models import Tag


class ContractorQuerySet(models.QuerySet["Contractor"]):
    def real(self) -> "ContractorQuerySet":
        """Those that do business; a sandbox has invented referrals only."""
        return self.filter(sandbox_of__isnull=True)

    def active(self) -> "ContractorQuerySet":
        return self.filter(status=Contractor.Status.ACTIVE)


class Contractor(models.Model):
    """A company that takes leads of the ZIPs it holds. Caps bind together: the lowest that is reached stops."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        ENDED = "ended"

    company = models.CharField(max_length=200)
    trade = models.CharField(max_length=100, blank=True, db_default="")
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    user = models.OneToOneField(
        User,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="contractor",
        help_text="The login whose tokens act for the contractor.",
    )
    sandbox_of = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="sandbox",
        help_text="Set on the double that a sandbox token sees; it has invented referrals only.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        validators=[validate_time_zone],
        help_text="Where its day and month begin, for caps; blank takes the installation's.",
    )
    daily_cap = models.PositiveIntegerField(null=True, blank=True, help_text="Most leads a day; blank: no cap.")
    monthly_cap = models.PositiveIntegerField(null=True, blank=True, help_text="Most leads a calendar month.")
    total_cap = models.PositiveIntegerField(null=True, blank=True, help_text="Most leads ever.")
    min_score = models.IntegerField(null=True, blank=True, help_text="Takes no lead below this score.")
    wanted_tags = models.ManyToManyField(
        Tag, blank=True, related_name="+", help_text="Takes only leads with one of these; none: any lead."
    )
    unwanted_tags = models.ManyToManyField(Tag, blank=True, related_name="+", help_text="Takes no lead with one.")
    price = models.DecimalField(max_digits=10, decimal_places=2, default=0, help_text="What a lead costs, in dollars.")
    return_window_days = models.PositiveSmallIntegerField(
        default=14, help_text="Days after delivery in which a lead may be returned."
    )
    return_quota_percent = models.PositiveSmallIntegerField(
        default=20, help_text="Most returns, as a share of the leads delivered in the last 30 days."
    )
    auto_return_reasons = ArrayField(
        models.CharField(max_length=30),
        default=list,
        blank=True,
        help_text="Reasons of returns that are approved without a person.",
    )
    notes = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField()

    objects = ContractorQuerySet.as_manager()

    class Meta:
        permissions = [("use_contractor_api", "Can use the contractors' API as the contractor it belongs to")]
        constraints = [
            models.UniqueConstraint(
                Lower("company"), condition=Q(sandbox_of__isnull=True), name="contractor_unique_company"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "paused", "ended"]), name="contractor_known_status"
            ),
            models.CheckConstraint(condition=Q(price__gte=0), name="contractor_price_not_negative"),
            models.CheckConstraint(condition=Q(return_quota_percent__lte=100), name="contractor_quota_percent"),
        ]

    def __str__(self) -> str:
        return self.company

    def get_absolute_url(self) -> str:
        return reverse("territories:contractor", args=[self.pk])

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone of its day and month."""
        return zoneinfo.ZoneInfo(self.time_zone or settings.TIME_ZONE)


class ContractorEvent(models.Model):
    """What was done to a contractor's agreement, state or access, by whom and when."""

    class Kind(models.TextChoices):
        MADE = "made"
        CHANGED = "changed"
        PAUSED = "paused"
        RESUMED = "resumed"
        ENDED = "ended"
        LOGIN_MADE = "login_made", "login made"
        TOKEN_MADE = "token_made", "token made"
        TOKEN_ROTATED = "token_rotated", "token rotated"
        TOKEN_REVOKED = "token_revoked", "token revoked"
        WEBHOOK_SET = "webhook_set", "webhook set"
        SECRET_ROTATED = "secret_rotated", "webhook secret rotated"

    contractor = models.ForeignKey(Contractor, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=20, choices=Kind)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    note = models.TextField(blank=True, db_default="", help_text="Which login, token or address.")
    changes = models.JSONField(default=list, blank=True, help_text="[what, former text, new text] of each change.")

    class Meta:
        indexes = [models.Index(fields=["contractor", "-id"], name="contractorevent_newest")]

    def __str__(self) -> str:
        return f"{self.contractor} {self.get_kind_display()}"


class ContractorContact(models.Model):
    """A person at a contractor."""

    contractor = models.ForeignKey(Contractor, on_delete=models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=100, blank=True, db_default="")
    email = models.EmailField(blank=True, db_default="")
    phone = models.CharField(max_length=40, blank=True, db_default="")

    def __str__(self) -> str:
        return f"{self.name} ({self.contractor})"
