"""Lead: a property that may become business, one per property address key."""

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.urls import reverse

from accounts.models import User
from jobs.models import Job


class LeadQuerySet(models.QuerySet["Lead"]):
    def in_zip(self, zip_code: str) -> "LeadQuerySet":
        return self.filter(zip=zip_code)

    def offerable(self) -> "LeadQuerySet":
        """Leads that a person has not suppressed."""
        return self.filter(suppressed_at__isnull=True)

    def due(self, at: object) -> "LeadQuerySet":
        """Leads whose score may have changed by `at`."""
        return self.filter(rescore_at__lte=at)


class Lead(models.Model):
    """One property. Address and owner are what imports left; the score is what the engine last wrote."""

    class Cause(models.IntegerChoices):
        """Why a lead is due; where several meet, the lowest number is the one that history tells."""

        RULE_CHANGE = 1, "rule change"
        IMPORT = 2, "import"
        TAG_CHANGE = 3, "tag change"

    # Byte order: all keys of one line and unit lie together, whatever the database's own collation.
    address_key = models.TextField(
        db_collation="C", help_text="normaliser version | delivery line | unit | place [| PCL parcel]"
    )
    address = models.TextField(blank=True, help_text="USPS delivery line without the unit; blank on bare land.")
    unit = models.TextField(blank=True, db_default="")
    city = models.TextField(blank=True, db_default="")
    state = models.TextField(blank=True, db_default="")
    zip = models.TextField(blank=True, db_default="")
    plus4 = models.TextField(blank=True, db_default="")
    county = models.TextField(blank=True, db_default="")
    raw_address = models.TextField(blank=True, db_default="", help_text="The address as the first file wrote it.")
    is_address_parsed = models.BooleanField(db_default=True)
    is_place_unknown = models.BooleanField(db_default=False, help_text="No ZIP, no city: kept apart by source.")
    parcel_number = models.TextField(blank=True, db_default="")
    owner_name = models.TextField(blank=True, db_default="")
    co_owner = models.TextField(blank=True, db_default="")
    mailing_address = models.TextField(blank=True, db_default="")
    mailing_unit = models.TextField(blank=True, db_default="")
    mailing_city = models.TextField(blank=True, db_default="")
    mailing_state = models.TextField(blank=True, db_default="")
    mailing_zip = models.TextField(blank=True, db_default="")
    raw_mailing = models.TextField(blank=True, db_default="")
    phone = models.TextField(blank=True, db_default="")
    email = models.TextField(blank=True, db_default="")
    score = models.IntegerField(db_default=0)
    scored_at = models.DateTimeField(null=True, blank=True)
    rescore_at = models.DateTimeField(null=True, blank=True, help_text="The next moment the score may change.")
    rescore_cause = models.SmallIntegerField(choices=Cause, null=True, blank=True)
    score_revision = models.IntegerField(db_default=0, help_text="Grows with each write that can move the score.")
    suppressed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the lead is offered to nobody; it is kept, scored and shown."
    )
    suppressed_reason = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = LeadQuerySet.as_manager()

    class Meta:
        # At most eight B-trees and no GIN: each one is paid for at every score update.
        constraints = [
            models.UniqueConstraint(fields=["address_key"], name="lead_unique_address_key"),
            models.CheckConstraint(condition=~Q(address="") | ~Q(parcel_number=""), name="lead_has_address_or_parcel"),
            models.CheckConstraint(
                condition=Q(suppressed_at__isnull=True) | ~Q(suppressed_reason=""), name="lead_suppressed_for_a_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["-score", "id"], name="lead_by_score"),
            models.Index(fields=["rescore_at"], condition=Q(rescore_at__isnull=False), name="lead_due"),
            models.Index(fields=["zip"], name="lead_by_zip"),
            models.Index(fields=["-created_at", "-id"], name="lead_by_age"),
            # Holds suppressed leads only, so that a score update pays nothing for it.
            models.Index(fields=["suppressed_at"], condition=Q(suppressed_at__isnull=False), name="lead_suppressed"),
        ]
        permissions = [("export_leads", "Can export leads")]

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.title, self.city]))

    def get_absolute_url(self) -> str:
        return reverse("leads:detail", args=[self.pk])

    @property
    def title(self) -> str:
        """Delivery line with unit; of bare land, the parcel."""
        return f"{self.address} {self.unit}".strip() or f"Parcel {self.parcel_number}"


class LeadSuppression(models.Model):
    """A time in which a lead is offered to nobody: since when, by whom and why, and how it ended."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="suppressions", db_index=False)
    reason = models.TextField()
    suppressed_at = models.DateTimeField()
    suppressed_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    lift_reason = models.TextField(blank=True, db_default="")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["lead"], condition=Q(lifted_at__isnull=True), name="leadsuppression_one_in_force"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="leadsuppression_has_a_reason"),
        ]
        indexes = [models.Index(fields=["lead", "-id"], name="leadsuppression_by_lead")]

    def __str__(self) -> str:
        return f"lead {self.lead_id} suppressed on {self.suppressed_at:%Y-%m-%d}: {self.reason}"


class LeadSearch(models.Model):
    """Search text of a lead, apart from it: a trigram index on Lead would triple each score update."""

    lead = models.OneToOneField(
        Lead, primary_key=True, on_delete=models.CASCADE, related_name="search", db_constraint=False
    )
    text = models.TextField()

    class Meta:
        indexes = [
            # The pending list takes a whole import chunk; vacuum folds it in afterwards.
            GinIndex(
                fields=["text"], opclasses=["gin_trgm_ops"], name="leadsearch_trigrams", gin_pending_list_limit=262144
            )
        ]

    def __str__(self) -> str:
        return self.text


class SelectedLead(models.Model):
    """A lead that a job over a selection works on, as its first step found it; kept while the job can be undone."""

    pk = models.CompositePrimaryKey("job_id", "lead_id")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The one statement that writes these takes them from the table of leads itself.
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"lead {self.lead_id} of job {self.job_id}"
