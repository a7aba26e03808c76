"""Territory: a ZIP that one contractor holds for a period. The database refuses two holders."""

import datetime as dt

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from territories.models.contractors import Contractor

ZIP = r"^[0-9]{5}$"


class Period(Func):
    """The half-open range [from_at, to_at) of a row."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class TerritoryQuerySet(models.QuerySet["Territory"]):
    def held(self, at: dt.datetime) -> "TerritoryQuerySet":
        """Those in force at `at`."""
        return self.filter(Q(to_at__gt=at) | Q(to_at__isnull=True), from_at__lte=at)

    def in_zip(self, zip_code: str) -> "TerritoryQuerySet":
        return self.filter(zip=zip_code)


class Territory(models.Model):
    """One ZIP for one contractor during [from_at, to_at), over all trades; rows that have ended are its history."""

    zip = models.CharField(max_length=5)
    contractor = models.ForeignKey(Contractor, on_delete=models.PROTECT, related_name="territories")
    from_at = models.DateTimeField()
    to_at = models.DateTimeField(null=True, blank=True, help_text="Blank: until somebody ends it.")
    taken_up_at = models.DateTimeField(
        null=True, blank=True, help_text="When the leads that waited in the ZIP were looked at for this holder."
    )
    wound_up_at = models.DateTimeField(
        null=True, blank=True, help_text="When what was not delivered by its end was taken back."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()

    objects = TerritoryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "territories"
        constraints = [
            ExclusionConstraint(
                name="territory_one_holder_per_zip",
                expressions=[
                    ("zip", RangeOperators.EQUAL),
                    (Period("from_at", "to_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(zip__regex=ZIP), name="territory_zip_has_five_digits"),
            # From and to at one moment: it was called off before it began.
            models.CheckConstraint(
                condition=Q(to_at__isnull=True) | Q(to_at__gte=F("from_at")), name="territory_ends_after_it_begins"
            ),
        ]
        indexes = [
            models.Index(fields=["zip", "from_at"], name="territory_by_zip"),
            models.Index(fields=["from_at"], condition=Q(taken_up_at__isnull=True), name="territory_to_take_up"),
            models.Index(
                fields=["to_at"],
                condition=Q(wound_up_at__isnull=True, to_at__isnull=False),
                name="territory_to_wind_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.zip} of {self.contractor}"

    @property
    def entered_late_at(self) -> dt.datetime | None:
        """When it was entered, where that is more than a day after it began: who reads a proof must know."""
        return self.created_at if self.created_at - self.from_at > dt.timedelta(days=1) else None


class TerritoryEvent(models.Model):
    """What was done to the holding of a ZIP, by whom and when."""

    class Kind(models.TextChoices):
        ASSIGNED = "assigned"
        ENDED = "ended"
        TRANSFERRED = "transferred"
        CALLED_OFF = "called_off", "called off"

    zip = models.CharField(max_length=5)
    territory = models.ForeignKey(Territory, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField(help_text="When it was done.")
    effective_at = models.DateTimeField(help_text="From when it holds.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    note = models.TextField(blank=True, db_default="")

    class Meta:
        indexes = [models.Index(fields=["zip", "-at"], name="territoryevent_by_zip")]

    def __str__(self) -> str:
        return f"{self.zip} {self.get_kind_display()}"


class TerritoryWait(models.Model):
    """A contractor who wants a ZIP that another one holds; the first in line is offered it first."""

    zip = models.CharField(max_length=5)
    contractor = models.ForeignKey(Contractor, on_delete=models.CASCADE, related_name="waits")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it got the ZIP, or no longer wanted it.")
    note = models.TextField(blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zip", "contractor"], condition=Q(ended_at__isnull=True), name="territorywait_once_per_zip"
            ),
            models.CheckConstraint(condition=Q(zip__regex=ZIP), name="territorywait_zip_has_five_digits"),
        ]

    def __str__(self) -> str:
        return f"{self.contractor} waits for {self.zip}"
