"""API authentication by hashed token."""

from datetime import timedelta
from hmac import compare_digest
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiToken, User

LAST_USED_PRECISION = timedelta(minutes=1)


class ApiTokenAuthentication(TokenAuthentication):
    """`Authorization: Token ...`, noting to the minute when the token was last used.

    Expired tokens stay where they are: pages list them, and knox's look at the person's other ones costs a query.
    """

    related: tuple[str, ...] = ("user",)

    def authenticate(self, request: Request) -> Any:
        # A view may name what else it reads of the person, for the same query.
        self.related = getattr(request.parser_context.get("view"), "read_with_token", self.related)
        return super().authenticate(request)

    def authenticate_credentials(self, token: bytes) -> Any:
        if token.isascii() and token.isalnum():
            text = token.decode()
            digest = hash_token(text)
            for found in ApiToken.objects.filter(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH]).select_related(
                *self.related
            ):
                if compare_digest(digest, found.digest):
                    return self.validate_user(found)
        raise AuthenticationFailed("Invalid token.")

    def validate_user(self, auth_token: ApiToken) -> tuple[User, ApiToken]:
        now = timezone.now()
        if auth_token.expiry is not None and auth_token.expiry <= now:
            raise AuthenticationFailed(f"This token expired on {auth_token.expiry:%Y-%m-%d}; ask for a new one.")
        result: tuple[User, ApiToken] = super().validate_user(auth_token)
        if auth_token.last_used_at is None or now - auth_token.last_used_at > LAST_USED_PRECISION:
            ApiToken.objects.filter(pk=auth_token.pk).update(last_used_at=now)
        return result
