"""What imports add to the lead pages: the evidence panel, and the leads of one import."""

import django_filters
from django import forms
from django.db.models import Exists, OuterRef

from imports.models import ImportBatch, ImportRow
from leads import registry
from leads.models import LeadQuerySet


def of_import(leads: LeadQuerySet, name: str, batch: ImportBatch | None) -> LeadQuerySet:
    """Leads that rows of this import created, changed or confirmed."""
    if batch is None:
        return leads
    return leads.filter(Exists(ImportRow.objects.filter(batch=batch, lead=OuterRef("pk"))))


def import_filter() -> django_filters.Filter:
    return django_filters.ModelChoiceFilter(
        queryset=ImportBatch.objects.all(), method=of_import, label="Import", widget=forms.HiddenInput
    )


def register() -> None:
    registry.add_panel(
        registry.Panel(key="evidence", title="What the lists say", url_name="imports:lead-panel", order=30)
    )
    registry.add_filter("import", import_filter)
