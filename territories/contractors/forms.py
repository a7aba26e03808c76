"""What people type about contractors and their tokens."""

from typing import Any

from django import forms
from django.conf import settings
from django.forms import formset_factory

from accounts.forms import MoneyField, time_zones
from tags.models import Tag
from territories.contractors.operations import Contact, tidy_company
from territories.contractors.tokens import MAX_DAYS, MAX_HOURS
from territories.models import Contractor, ReferralReturn

MOST = 2**31 - 1
OPTIONAL_CAPS = ("daily_cap", "monthly_cap", "total_cap")


class ContractorForm(forms.ModelForm):
    """Everything of a contractor but its state, login and contacts."""

    price = MoneyField(
        label="Price of a lead",
        min_value=0,
        max_digits=10,
        help_text="In dollars; kept with each lead when it is assigned.",
        error_messages={"min_value": "A price is never negative."},
    )
    auto_return_reasons = forms.MultipleChoiceField(
        label="Returns approved without a person",
        choices=ReferralReturn.Reason.choices,
        required=False,
        help_text="Within the quota; other reasons wait for a person.",
    )
    version = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput, help_text="What was seen.")

    class Meta:
        model = Contractor
        fields = [
            "company",
            "trade",
            "time_zone",
            "price",
            "daily_cap",
            "monthly_cap",
            "total_cap",
            "min_score",
            "wanted_tags",
            "unwanted_tags",
            "return_window_days",
            "return_quota_percent",
            "auto_return_reasons",
            "notes",
        ]
        labels = {
            "daily_cap": "Leads a day",
            "monthly_cap": "Leads a month",
            "total_cap": "Leads in total",
            "min_score": "Minimum score",
            "return_window_days": "Days to return a lead",
            "return_quota_percent": "Most returns, percent",
            "wanted_tags": "Wanted tags",
            "unwanted_tags": "Unwanted tags",
        }
        help_texts = {
            "company": "As they call themselves; no two have the same name.",
            "trade": "Such as roofing.",
            "time_zone": "Where its day and month begin, for caps.",
            "daily_cap": "Blank: no cap.",
            "monthly_cap": "Blank: no cap.",
            "total_cap": "Blank: no cap.",
            "min_score": "Takes no lead below it; blank: any.",
            "return_window_days": "After delivery.",
            "return_quota_percent": "Of the leads delivered in 30 days, at least one; 0 allows none.",
            "notes": "For your own people; the contractor never sees them.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # What the database fills in by itself would be shown as an object.
        kwargs.setdefault("instance", Contractor(trade="", time_zone="", notes=""))
        super().__init__(*args, **kwargs)
        own = self.instance.time_zone
        names = [*time_zones(), *([own] if own and own not in time_zones() else [])]
        choices = [("", f"The installation's ({settings.TIME_ZONE.replace('_', ' ')})")]
        self.fields["time_zone"].widget = forms.Select(
            choices=choices + [(one, one.replace("_", " ")) for one in names]
        )
        for name in ("wanted_tags", "unwanted_tags"):
            field: Any = self.fields[name]
            kept = list(getattr(self.instance, name).values_list("pk", flat=True)) if self.instance.pk else []
            field.queryset = (Tag.objects.active() | Tag.objects.filter(pk__in=kept)).order_by("name")
            field.widget = forms.CheckboxSelectMultiple()
            field.widget.choices = field.choices
        self.fields["auto_return_reasons"].widget = forms.CheckboxSelectMultiple(choices=ReferralReturn.Reason.choices)
        for name in OPTIONAL_CAPS:
            # Django takes any positive number, the column does not.
            self.fields[name] = forms.IntegerField(
                label=self.fields[name].label,
                required=False,
                min_value=0,
                max_value=MOST,
                help_text=self.fields[name].help_text,
            )
        self.fields["notes"].widget = forms.Textarea(attrs={"rows": 3})

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        both = set(cleaned.get("wanted_tags") or ()) & set(cleaned.get("unwanted_tags") or ())
        if both:
            names = ", ".join(sorted(tag.name for tag in both))
            self.add_error("unwanted_tags", f"{names} cannot be wanted and unwanted at once.")
        return cleaned

    def clean_company(self) -> str:
        company = tidy_company(self.cleaned_data["company"])
        if not company:
            raise forms.ValidationError("Write the name with letters that show.")
        others = Contractor.objects.real().filter(company__iexact=company).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(f"There is a contractor called {company} already.")
        return company

    def _get_validation_exclusions(self) -> set[str]:
        # `clean_company` says it in better words than the constraint.
        return {*super()._get_validation_exclusions(), "sandbox_of"}  # type: ignore[misc]


class ContactForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, label="Name")
    role = forms.CharField(max_length=100, required=False, label="Role")
    email = forms.EmailField(required=False, label="Mail")
    phone = forms.CharField(max_length=40, required=False, label="Phone")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not cleaned.get("name") and any(cleaned.get(one) for one in ("role", "email", "phone")):
            self.add_error("name", "Whose is it? Give a name, or empty the row.")
        return cleaned


ContactForms = formset_factory(ContactForm, extra=2, max_num=50, absolute_max=60)


def contacts_of(forms_: Any) -> list[Contact]:
    """The filled rows of a valid formset."""
    return [Contact(**form.cleaned_data) for form in forms_ if form.cleaned_data.get("name")]


class LoginForm(forms.Form):
    username = forms.CharField(
        max_length=150, required=False, label="Login name", help_text="Blank: made of the company's name."
    )


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", help_text="What will use it, such as their CRM.")
    days = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_DAYS, label="Days", initial=365, help_text="Blank: no end."
    )
    is_sandbox = forms.BooleanField(
        required=False, label="Sandbox", help_text="For their programmers to try: sees invented leads only."
    )


class RotateForm(forms.Form):
    token = forms.CharField(max_length=40)
    hours = forms.IntegerField(min_value=0, max_value=MAX_HOURS, initial=24)


class RevokeForm(forms.Form):
    token = forms.CharField(max_length=40)
