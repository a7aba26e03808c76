"""What people type about a profile of lead generation."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from tags.models import Tag
from territories.generation import registry
from territories.geo.counties import county_by_fips
from territories.holdings.places import CountyRefused, find_county, in_words
from territories.models import GenerationProfile

MAX_SCORE = 2**31 - 1
MAX_DAYS = 36_500
MAX_REFERRALS = 100_000
MAX_ZIPS = 5_000
MAX_SHOWN = 5
PREFIX = "criterion-"
ZIP = re.compile(r"(\d{5})(?:-?\d{4})?", re.ASCII)
CODES = re.compile(r"[\d\s,]+", re.ASCII)


class ZipsField(forms.CharField):
    """ZIPs, parted by commas, spaces or lines; kept sorted, each once."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=100_000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        parts = [part for part in re.split(r"[\s,;]+", super().clean(value)) if part]
        odd = [part[:20] for part in parts if not ZIP.fullmatch(part)]
        if odd:
            more = f" and {len(odd) - MAX_SHOWN} more" if len(odd) > MAX_SHOWN else ""
            raise ValidationError(f"{', '.join(f'“{part}”' for part in odd[:MAX_SHOWN])}{more}: no ZIP of five digits.")
        zips = sorted({part[:5] for part in parts})
        if len(zips) > MAX_ZIPS:
            raise ValidationError(f"These are {len(zips):,}; give at most {MAX_ZIPS:,}.")
        return zips


class CountiesField(forms.CharField):
    """Counties by name, one on a line, or by FIPS code; kept as codes, shown as names."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=100_000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        known = ((fips, county_by_fips(fips)) for fips in value)
        return "\n".join(in_words(county) if county else fips for fips, county in known)

    def clean(self, value: Any) -> list[str]:
        lines = [line.strip() for line in re.split(r"[\n;]", super().clean(value)) if line.strip()]
        parts = [part for line in lines for part in (re.findall(r"\d+", line) if CODES.fullmatch(line) else [line])]
        found, odd = set(), []
        for part in parts:
            try:
                found.add(find_county(part).fips)
            except CountyRefused as refusal:
                odd.append(str(refusal))
        if odd:
            raise ValidationError(odd[:MAX_SHOWN])
        return sorted(found)


def version_of(profile: GenerationProfile) -> str:
    """Changes with each save: what a form has seen of the profile."""
    return profile.updated_at.isoformat()


class ProfileForm(forms.ModelForm):
    """A profile as a person would have it, with the criteria that rooms have registered."""

    version = forms.CharField(required=False, widget=forms.HiddenInput, help_text="What was seen.")
    zips = ZipsField(
        label="ZIPs",
        help_text="Only these, with commas or lines between them. Empty: all, unless counties are given.",
    )
    counties = CountiesField(
        label="Counties",
        help_text="One on a line, such as Essex, NJ, or by FIPS code; their ZIPs join the ZIPs. Approximate.",
    )

    class Meta:
        model = GenerationProfile
        fields = [
            "name",
            "min_score",
            "required_tags",
            "excluded_tags",
            "zips",
            "counties",
            "max_reason_age_days",
            "not_referred_days",
            "max_referrals",
            "max_per_zip",
            "max_per_contractor",
            "includes_unheld",
            "runs_nightly",
        ]
        labels = {
            "min_score": "Score at least",
            "required_tags": "Has all of these tags",
            "excluded_tags": "Has none of these tags",
            "max_reason_age_days": "Newest reason at most so many days old",
            "not_referred_days": "Not referred within so many days",
            "max_referrals": "Most referrals of one run",
            "max_per_zip": "Most in one ZIP",
            "max_per_contractor": "Most for one contractor",
            "includes_unheld": "Also leads of ZIPs that nobody holds",
            "runs_nightly": "Run each night, after the scores",
        }
        help_texts = {
            "min_score": "Of the score as it stands when the run reads it.",
            "max_reason_age_days": "Blank: any age.",
            "not_referred_days": "0: it does not matter when.",
            "max_referrals": f"At most {MAX_REFERRALS:,}.",
            "max_per_zip": "Of one run; blank: no limit.",
            "max_per_contractor": "Of one run, beside the contractor's own caps; blank: no limit.",
            "includes_unheld": "They wait, and go to whoever takes the ZIP.",
            "runs_nightly": "From the next night on.",
        }

    def __init__(self, data: Any = None, *, instance: GenerationProfile) -> None:
        super().__init__(data, instance=instance, initial={"version": version_of(instance)} if instance.pk else None)
        for name, least, most in (
            ("min_score", -MAX_SCORE, MAX_SCORE),
            ("max_reason_age_days", 0, MAX_DAYS),
            ("not_referred_days", 0, MAX_DAYS),
            ("max_referrals", 1, MAX_REFERRALS),
            ("max_per_zip", 1, MAX_REFERRALS),
            ("max_per_contractor", 1, MAX_REFERRALS),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.IntegerField)
            self.fields[name] = forms.IntegerField(
                label=field.label,
                help_text=field.help_text,
                required=field.required,
                initial=field.initial,
                min_value=least,
                max_value=most,
            )
        chosen = set()
        if instance.pk:
            chosen = {tag.pk for name in ("required_tags", "excluded_tags") for tag in getattr(instance, name).all()}
        for name in ("required_tags", "excluded_tags"):
            tags = Tag.objects.active() | Tag.objects.filter(pk__in=chosen)
            self.fields[name].queryset = tags.order_by("name")  # type: ignore[attr-defined]
        for key, criterion in registry.criteria.items():
            field = criterion.make_field()
            field.initial = instance.criteria.get(key, field.initial)
            self.fields[PREFIX + key] = field

    def criterion_fields(self) -> list[forms.BoundField]:
        return [self[PREFIX + key] for key in registry.criteria]

    def differs_from(self, now: GenerationProfile) -> list[str]:
        """Where the profile, as it stands now, is not what was typed; of a valid form, one line for each field."""
        lines = []
        for name in self.Meta.fields:
            there, typed = getattr(now, name), self.cleaned_data[name]
            if name in ("required_tags", "excluded_tags"):
                there, typed = ([tag.name for tag in tags] for tags in (there.order_by("name"), typed))
            elif name == "counties":
                there, typed = (CountiesField().prepare_value(one).splitlines() for one in (there, typed))
            if there != typed:
                lines.append(f"{self.fields[name].label}: {_difference(there, typed)}.")
        for key in registry.criteria:
            there, typed = now.criteria.get(key), self.instance.criteria.get(key)
            if there != typed:
                lines.append(f"{self.fields[PREFIX + key].label}: {_difference(there or False, typed or False)}.")
        return lines

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        others = GenerationProfile.objects.filter(name__iexact=name, archived_at=None).exclude(pk=self.instance.pk)
        if self.instance.archived_at is None and others.exists():
            raise ValidationError("Another profile has this name.")
        return name

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        both = set(values.get("required_tags") or ()) & set(values.get("excluded_tags") or ())
        if both:
            names = ", ".join(sorted(tag.name for tag in both))
            self.add_error("excluded_tags", f"{names}: a lead cannot have it and not have it. Take it out of one.")
        typed = {key: values.get(PREFIX + key) for key in registry.criteria}
        self.instance.criteria = {key: value for key, value in typed.items() if value not in (None, "", False, [])}
        return values


def _difference(there: Any, typed: Any) -> str:
    if not isinstance(there, list) or not isinstance(typed, list):
        return f"now {_told(there)}; you typed {_told(typed)}"
    theirs, mine = set(there), set(typed)
    parts = [
        ("now also {}", [one for one in there if one not in mine]),
        ("not {}, which you typed", [one for one in typed if one not in theirs]),
    ]
    return "; ".join(words.format(_some(items)) for words, items in parts if items)


def _some(items: list[Any]) -> str:
    more = f" and {len(items) - MAX_SHOWN:,} more" if len(items) > MAX_SHOWN else ""
    return ", ".join(map(str, items[:MAX_SHOWN])) + more


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in (None, ""):
        return "blank"
    return f"{value:,}" if isinstance(value, int) else f"“{value}”"
