"""What people type about a webhook."""

from typing import Any

from django import forms

from territories.models import Contractor
from territories.webhooks.configure import webhook_policy
from territories.webhooks.transport import DestinationRefused, check_url


class EndpointForm(forms.Form):
    """Where messages go, and whether. The address is checked as each message's will be."""

    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="Such as https://hooks.example.com/leads. It must be reachable from the internet and answer within "
        "10 seconds with a status from 200 to 299.",
        error_messages={"required": "Give the address that takes the messages."},
    )
    is_enabled = forms.BooleanField(
        label="Send messages there",
        required=False,
        help_text="While it is off, messages wait; leads can be fetched by the API all the same.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        url = cleaned.get("url")
        # Whoever switches a webhook off need not wait for its name to resolve.
        if url and (cleaned["is_enabled"] or url != self.initial.get("url")):
            try:
                check_url(url, webhook_policy())
            except DestinationRefused as refusal:
                self.add_error("url", str(refusal))
        return cleaned


class MessageFilter(forms.Form):
    """Which messages a list shows. What it does not know is left out, and said."""

    contractor = forms.ModelChoiceField(Contractor.objects.none(), required=False, empty_label="All contractors")
    state = forms.ChoiceField(
        required=False,
        choices=[("", "Any state"), ("dead", "Dead"), ("pending", "Waiting"), ("delivered", "Delivered"),
                 ("cancelled", "Withdrawn")],
    )  # fmt: skip

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        contractors = Contractor.objects.real().filter(webhook__isnull=False).order_by("company")
        self.fields["contractor"].queryset = contractors  # type: ignore[attr-defined]

    @property
    def wanted(self) -> dict[str, Any]:
        """The filters that hold, as a queryset of messages takes them."""
        self.full_clean()
        values = {"contractor": self.cleaned_data.get("contractor"), "status": self.cleaned_data.get("state")}
        return {name: value for name, value in values.items() if value}
