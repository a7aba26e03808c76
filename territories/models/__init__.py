"""Who buys leads, who holds which ZIP, and what became of each lead that was offered."""

from territories.models.contractors import Contractor, ContractorContact, ContractorEvent
from territories.models.generation import GenerationProfile
from territories.models.referrals import Referral, ReferralEvent, ReferralReturn
from territories.models.territories import Territory, TerritoryEvent, TerritoryWait
from territories.models.webhooks import WebhookAttempt, WebhookEndpoint, WebhookMessage

__all__ = [
    "Contractor",
    "ContractorContact",
    "ContractorEvent",
    "GenerationProfile",
    "Referral",
    "ReferralEvent",
    "ReferralReturn",
    "Territory",
    "TerritoryEvent",
    "TerritoryWait",
    "WebhookAttempt",
    "WebhookEndpoint",
    "WebhookMessage",
]
