"""API authentication by hashed token."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import ApiToken, User

LAST_USED_PRECISION = timedelta(minutes=1)


class ApiTokenAuthentication(TokenAuthentication):
    """`Authorization: Token ...`, noting to the minute when the token was last used."""

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii() or not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: ApiToken) -> bool:
        """Leave expired tokens where they are: pages list them, and a look at the person's others costs a query."""
        return False

    def validate_user(self, auth_token: ApiToken) -> tuple[User, ApiToken]:
        now = timezone.now()
        if auth_token.expiry is not None and auth_token.expiry <= now:
            raise AuthenticationFailed(f"This token expired on {auth_token.expiry:%Y-%m-%d}; ask for a new one.")
        result: tuple[User, ApiToken] = super().validate_user(auth_token)
        if auth_token.last_used_at is None or now - auth_token.last_used_at > LAST_USED_PRECISION:
            ApiToken.objects.filter(pk=auth_token.pk).update(last_used_at=now)
        return result
