"""Referral: one lead offered to one contractor, with every step of its way."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from jobs.models import Job
from leads.models import Lead
from territories.models.contractors import Contractor
from territories.models.generation import GenerationProfile
from territories.models.territories import Territory

LIVE = ("generated", "assigned", "delivered", "converted")


class ReferralQuerySet(models.QuerySet["Referral"]):
    def real(self) -> "ReferralQuerySet":
        return self.filter(is_sandbox=False)

    def live(self) -> "ReferralQuerySet":
        """Those that hold their lead: no other referral of it can be made."""
        return self.filter(status__in=LIVE, released_at__isnull=True)


class Referral(models.Model):
    """One lead for one contractor. `status` moves by `territories.referrals.lifecycle` only, each move an event."""

    class Status(models.TextChoices):
        GENERATED = "generated"
        ASSIGNED = "assigned"
        DELIVERED = "delivered"
        CONVERTED = "converted"
        RETURNED = "returned"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    LIVE = LIVE

    lead = models.ForeignKey(Lead, null=True, on_delete=models.PROTECT, related_name="referrals", db_index=False)
    zip = models.CharField(max_length=5)
    score = models.IntegerField(help_text="The lead's score when it was generated, or assigned since.")
    urgency = models.SmallIntegerField(default=0, help_text="0..100, by the formula of territories.generation.")
    status = models.CharField(max_length=10, choices=Status, default=Status.GENERATED)
    contractor = models.ForeignKey(
        Contractor, null=True, blank=True, on_delete=models.PROTECT, related_name="referrals", db_index=False
    )
    territory = models.ForeignKey(
        Territory, null=True, blank=True, on_delete=models.PROTECT, related_name="referrals", db_index=False
    )
    # Written by the run that read them; each check at commit is a tenth of a large run.
    profile = models.ForeignKey(
        GenerationProfile,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="referrals",
        db_index=False,
        db_constraint=False,
    )
    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    is_sandbox = models.BooleanField(db_default=False, help_text="Invented, for a contractor's programmers to try.")
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    value = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, help_text="What the contractor made of it, in dollars."
    )
    generated_at = models.DateTimeField()
    assigned_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    contacted_at = models.DateTimeField(null=True, blank=True)
    converted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was returned, cancelled or had expired.")
    released_at = models.DateTimeField(
        null=True, blank=True, help_text="When a person gave the converted lead free for another referral."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When it expires unless something happens; generated and assigned ones."
    )
    receipt = models.JSONField(
        null=True, blank=True, help_text="The lead, its explained score and its evidence as they were delivered."
    )

    objects = ReferralQuerySet.as_manager()

    class Meta:
        permissions = [("decide_return", "Can approve and refuse returns")]
        constraints = [
            models.UniqueConstraint(
                fields=["lead"],
                condition=Q(status__in=LIVE, released_at__isnull=True, lead__isnull=False),
                name="referral_one_live_per_lead",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[*LIVE, "returned", "expired", "cancelled"]), name="referral_known_status"
            ),
            models.CheckConstraint(
                condition=Q(lead__isnull=False, is_sandbox=False) | Q(lead__isnull=True, is_sandbox=True),
                name="referral_has_a_lead",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status="generated", contractor__isnull=True, assigned_at__isnull=True)
                    | Q(status__in=["expired", "cancelled"])
                    | Q(contractor__isnull=False, assigned_at__isnull=False)
                )
                & ~Q(status="generated", contractor__isnull=False),
                name="referral_contractor_fits_status",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["delivered", "converted", "returned"]) | Q(delivered_at__isnull=False),
                name="referral_was_delivered",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(status="converted"), name="referral_released_when_converted"
            ),
        ]
        indexes = [
            models.Index(fields=["lead", "-id"], name="referral_by_lead"),
            models.Index(fields=["contractor", "-assigned_at", "-id"], name="referral_by_contractor"),
            models.Index(fields=["status", "-id"], name="referral_by_status"),
            models.Index(fields=["zip"], condition=Q(status="generated"), name="referral_waiting"),
            models.Index(fields=["territory"], condition=Q(status="assigned"), name="referral_undelivered"),
            models.Index(
                fields=["expires_at"], condition=Q(status__in=["generated", "assigned"]), name="referral_to_expire"
            ),
            # What its contractor must be told of, if it heard of the referral before.
            models.Index(
                fields=["ended_at"],
                condition=Q(status__in=["expired", "cancelled"], contractor__isnull=False),
                name="referral_taken_away",
            ),
        ]

    def __str__(self) -> str:
        return f"referral {self.pk} ({self.status})"

    def get_absolute_url(self) -> str:
        return reverse("territories:referral", args=[self.pk])


class ReferralEvent(models.Model):
    """One step of a referral: a change of status, or a moment such as accepted."""

    # The statement that writes an event writes its referral, or has locked it.
    referral = models.ForeignKey(
        Referral, on_delete=models.CASCADE, related_name="events", db_index=False, db_constraint=False
    )
    at = models.DateTimeField()
    what = models.CharField(max_length=20, help_text="The new status, or accepted, contacted, released, re-checked.")
    from_status = models.CharField(max_length=10, blank=True, db_default="")
    note = models.TextField(blank=True, db_default="")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        indexes = [models.Index(fields=["referral", "id"], name="referralevent_by_referral")]

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M}"


class ReferralReturn(models.Model):
    """A contractor's wish to give a delivered lead back, and what was decided."""

    class Reason(models.TextChoices):
        UNREACHABLE = "unreachable", "Contact data are wrong"
        NOT_OWNER = "not_owner", "The owner is somebody else"
        ALREADY_CUSTOMER = "already_customer", "Already a customer"
        SOLD = "sold", "The property is sold"
        DO_NOT_CONTACT = "do_not_contact", "Asked not to be contacted"
        OUTSIDE_TRADE = "outside_trade", "Not our kind of work"
        OTHER = "other", "Another reason"

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REFUSED = "refused"

    referral = models.ForeignKey(Referral, on_delete=models.CASCADE, related_name="returns")
    reason = models.CharField(max_length=20, choices=Reason)
    note = models.TextField(blank=True, db_default="")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    is_automatic = models.BooleanField(db_default=False)
    requested_at = models.DateTimeField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decision_note = models.TextField(blank=True, db_default="")
    is_replacement_owed = models.BooleanField(
        db_default=False, help_text="Approved, and no lead could replace it yet; a later run does."
    )
    replacement = models.OneToOneField(
        Referral, null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["referral"],
                condition=Q(status__in=["pending", "approved"]),
                name="referralreturn_one_per_referral",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "approved", "refused"]), name="referralreturn_known_status"
            ),
            models.CheckConstraint(
                condition=Q(status="pending") | Q(decided_at__isnull=False), name="referralreturn_decided_at"
            ),
        ]
        indexes = [
            models.Index(fields=["requested_at"], condition=Q(status="pending"), name="referralreturn_pending"),
        ]

    def __str__(self) -> str:
        return f"return of referral {self.referral_id} ({self.status})"
