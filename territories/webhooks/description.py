"""What messages look like, for the description of the API; a test holds it against the messages that are made."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, OpenApiWebhook, extend_schema, inline_serializer
from rest_framework import serializers

from accounts.api import UtcDateTimeField
from territories.contractor_api.bodies import DELIVERED_EXAMPLE, RECEIPT_EXAMPLE, ReceiptSerializer
from territories.models import WebhookMessage

Kind = WebhookMessage.Kind
SIGNED = (
    "\n\nSigned after Standard Webhooks: check `webhook-signature` over the body as it came, and keep each "
    "`webhook-id`: the same id is the same message. Any status from 200 to 299 within 10 seconds says that you have "
    "it. 410 switches the webhook off. "
)
TRIED = (
    "Anything else is tried again, up to eight attempts within 32 to 38 hours, later where `Retry-After` asks for it "
    "(24 hours at most)."
)


class AboutReferralSerializer(serializers.Serializer):
    """Which referral it is about."""

    id = serializers.IntegerField(help_text="As in `/api/contractor/referrals/{id}`.")
    zip = serializers.CharField()
    score = serializers.IntegerField(help_text="When it was assigned.")
    status = serializers.CharField(help_text="When the message was made.")


class WebhookAssignedSerializer(AboutReferralSerializer):
    """A lead that is yours now."""

    price = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True, help_text="Dollars.")
    assigned_at = UtcDateTimeField()
    expires_at = UtcDateTimeField(allow_null=True)
    receipt = ReceiptSerializer()


class WebhookEndedSerializer(AboutReferralSerializer):
    """A referral that you may have heard of and that is not yours any more."""

    ended_at = UtcDateTimeField()


class WebhookReturnSerializer(serializers.Serializer):
    """What was decided."""

    id = serializers.IntegerField()
    reason = serializers.CharField()
    status = serializers.CharField(help_text="One of approved, refused.")
    is_automatic = serializers.BooleanField(help_text="Decided by your agreement, not by a person.")
    requested_at = UtcDateTimeField()
    decided_at = UtcDateTimeField()
    decision_note = serializers.CharField()
    replacement_id = serializers.IntegerField(
        allow_null=True, help_text="The referral that replaces this one; null: none, or none yet."
    )


class WebhookDecidedSerializer(AboutReferralSerializer):
    """A referral whose return was decided."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "return": WebhookReturnSerializer()}


class WebhookTestSerializer(serializers.Serializer):
    message = serializers.CharField()


def _example(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": str(kind), "timestamp": "2026-06-15T12:00:00.250113Z", "data": data}


_ABOUT = {name: DELIVERED_EXAMPLE[name] for name in ("id", "zip", "score")}
_ENDED = {"ended_at": "2026-06-15T12:00:00.131072Z"}
EXAMPLES: dict[str, dict[str, Any]] = {
    Kind.REFERRAL_ASSIGNED: _example(
        Kind.REFERRAL_ASSIGNED,
        **_ABOUT,
        status="assigned",
        price="25.00",
        assigned_at="2026-06-15T12:00:00Z",
        expires_at="2026-06-22T12:00:00Z",
        receipt=RECEIPT_EXAMPLE,
    ),
    Kind.REFERRAL_CANCELLED: _example(Kind.REFERRAL_CANCELLED, **_ABOUT, status="cancelled", **_ENDED),
    Kind.REFERRAL_EXPIRED: _example(Kind.REFERRAL_EXPIRED, **_ABOUT, status="expired", **_ENDED),
    Kind.RETURN_DECIDED: _example(
        Kind.RETURN_DECIDED,
        **_ABOUT,
        status="returned",
        **{
            "return": {
                "id": 31,
                "reason": "unreachable",
                "status": "approved",
                "is_automatic": False,
                "requested_at": "2026-06-14T10:00:00Z",
                "decided_at": "2026-06-15T11:59:58Z",
                "decision_note": "Both numbers are dead.",
                "replacement_id": 901,
            }
        },
    ),
    Kind.TEST: _example(Kind.TEST, message="This is a test of the webhook. Answer it with any status from 200 to 299."),
}


def _webhook(kind: str, data: serializers.Serializer, summary: str, words: str) -> OpenApiWebhook:
    """`data` is what the member of that name holds."""
    message = inline_serializer(
        "".join(part.capitalize() for part in kind.split(".")) + "Message",
        {
            "type": serializers.CharField(help_text=f"`{kind}`"),
            "timestamp": UtcDateTimeField(help_text="When the message was made."),
            "data": data,
        },
    )
    return OpenApiWebhook(
        str(kind),
        extend_schema(
            summary=summary,
            description=words + SIGNED + ("Anything else is tried no more." if kind == Kind.TEST else TRIED),
            tags=["Webhooks"],
            request=message,
            responses={200: OpenApiResponse(description="You have it. A body is not read.")},
            examples=[OpenApiExample(summary, EXAMPLES[kind])],
        ),
    )


ASSIGNED = _webhook(
    Kind.REFERRAL_ASSIGNED,
    WebhookAssignedSerializer(),
    "A lead is yours",
    "The lead with its receipt; your 2xx delivers it. It is not sent any more once you have read it over the API.",
)
CANCELLED = _webhook(
    Kind.REFERRAL_CANCELLED,
    WebhookEndedSerializer(),
    "A lead was taken back",
    "Only where you may have heard of the lead; without its data.",
)
EXPIRED = _webhook(
    Kind.REFERRAL_EXPIRED,
    WebhookEndedSerializer(),
    "A lead was not read in time",
    "Only where you may have heard of the lead; without its data.",
)
DECIDED = _webhook(
    Kind.RETURN_DECIDED,
    WebhookDecidedSerializer(),
    "A return was decided",
    "Also where your agreement decides at once. Where the replacement comes later, `return` of the referral tells it.",
)
TEST = _webhook(
    Kind.TEST,
    WebhookTestSerializer(),
    "A test",
    "Sent when somebody presses the button for it, also while the webhook is off.",
)
