"""One set of filters for the leads page and the leads API: this room's own, and what upper rooms registered."""

import datetime as dt
import re
from typing import Any, ClassVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError

from leads import registry
from leads.models import Lead, LeadQuerySet

MAX_WORDS = 12
MAX_ZIPS = 200
ZIP = re.compile(r"(\d{5})(?:-?\d{4})?", re.ASCII)


class ZipsField(forms.CharField):
    """One ZIP or several, parted by commas or spaces; ZIP+4 counts as its ZIP."""

    def clean(self, value: str | None) -> list[str]:
        parts = re.split(r"[\s,;]+", super().clean(value))
        zips = []
        for part in filter(None, parts):
            found = ZIP.fullmatch(part)
            if not found:
                raise ValidationError(f"“{part}” is not a ZIP; write five digits, such as 07030.")
            zips.append(found[1])
        if len(zips) > MAX_ZIPS:
            raise ValidationError(f"These are {len(zips)} ZIPs; give at most {MAX_ZIPS}.")
        return zips


class ZipsFilter(django_filters.Filter):
    field_class = ZipsField

    def filter(self, qs: LeadQuerySet, value: list[str] | None) -> LeadQuerySet:
        if not value:
            return qs
        return qs.in_zip(value[0]) if len(value) == 1 else qs.filter(zip__in=value)


class ChoiceFilter(django_filters.ChoiceFilter):
    """One of a few values; any of them where none is chosen."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(empty_label="Any", **kwargs)
        values = ", ".join(str(value) for value, _ in kwargs["choices"])
        self.extra["error_messages"] = {"invalid_choice": f"“%(value)s” is not known here; choose one of {values}."}


class LeadFilterForm(forms.Form):
    """Says of a choice that does not exist which one that is."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        for field in self.fields.values():
            if isinstance(field, forms.ModelMultipleChoiceField) and field.queryset is not None:
                noun = field.queryset.model._meta.verbose_name
                field.error_messages = field.error_messages | {
                    "invalid_choice": f"There is no {noun} with the id %(value)s.",
                    "invalid_pk_value": f"“%(pk)s” is not the id of a {noun}.",
                }


class LeadFilterSet(django_filters.FilterSet):
    at: ClassVar[dt.datetime]

    q = django_filters.CharFilter(method="holding_every_word", label="Address or owner", max_length=200)
    city = django_filters.CharFilter(method="in_city", label="City", max_length=100)
    state = django_filters.CharFilter(method="in_state", label="State", max_length=2)
    zip = ZipsFilter(label="ZIP", max_length=2_000)
    suppressed = ChoiceFilter(
        method="offered_to_nobody", label="Suppressed", choices=[("yes", "Suppressed"), ("no", "Not suppressed")]
    )

    class Meta:
        model = Lead
        fields: list[str] = []
        form = LeadFilterForm

    def holding_every_word(self, leads: LeadQuerySet, name: str, text: str) -> LeadQuerySet:
        """Each word occurs in the address or the owner's name; search text is lower case, so LIKE finds the index."""
        for word in text.lower().split()[:MAX_WORDS]:
            leads = leads.filter(search__text__contains=word)
        return leads

    def in_city(self, leads: LeadQuerySet, name: str, city: str) -> LeadQuerySet:
        return leads.filter(city=" ".join(city.upper().split()))

    def in_state(self, leads: LeadQuerySet, name: str, state: str) -> LeadQuerySet:
        return leads.filter(state=state.strip().upper())

    def offered_to_nobody(self, leads: LeadQuerySet, name: str, value: str) -> LeadQuerySet:
        return leads.filter(suppressed_at__isnull=value != "yes")

    def in_words(self, name: str, value: str) -> tuple[str, str]:
        """Label and value of one parameter that holds, as a person calls them."""
        field = self.form.fields[name]
        label, found = str(field.label), self.form.cleaned_data.get(name)
        if isinstance(field, forms.ModelMultipleChoiceField):
            named = {str(one.pk): str(one) for one in found or ()}
            return label.partition(" (")[0], named.get(value, value)
        if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
            return label, str(dict(field.choices).get(value, value))
        return label, str(found) if isinstance(field, forms.ModelChoiceField) else value


def lead_filterset(*, at: dt.datetime) -> type[LeadFilterSet]:
    """The filters as they stand registered: `lead_filterset(at=now)(request.GET, queryset=leads)`.

    A filter that depends on the moment finds it in its filterset: `self.parent.at`. A value that cannot be right is in
    `.errors`, by parameter; `.qs` then leaves that one filter out.
    """
    made: dict[str, Any] = {name: make() for name, make in registry.filters.items()}
    return type("RegisteredLeadFilterSet", (LeadFilterSet,), {**made, "at": at})
