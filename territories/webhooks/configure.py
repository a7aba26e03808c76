"""What the settings say of sending; the transport itself knows no Django."""

from django.conf import settings

from territories.webhooks.transport import HttpTransport, Policy, Transport


def webhook_policy() -> Policy:
    """Where this installation sends messages."""
    return Policy(
        allow_http=settings.WEBHOOK_ALLOW_HTTP,
        ports=settings.WEBHOOK_PORTS,
        allowed_networks=tuple(settings.WEBHOOK_ALLOWED_NETWORKS),
    )


def webhook_transport() -> Transport:
    """How this installation sends messages."""
    return HttpTransport(policy=webhook_policy())
