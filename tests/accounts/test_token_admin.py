"""Tokens in the admin."""

import pytest
from django.test import Client

from accounts.models import ApiToken, User

pytestmark = pytest.mark.django_db


def test_a_new_token_is_shown_once_and_its_digest_never() -> None:
    admin = User.objects.create_superuser("admin", password="correct horse battery")
    client = Client()
    client.force_login(admin)
    asked = {"user": admin.pk, "name": "nightly", "expiry_0": "", "expiry_1": ""}
    page = client.post("/admin/accounts/apitoken/add/", asked, follow=True).content.decode()
    made = ApiToken.objects.get()
    messages = page.split('class="messagelist"')[1].split("</ul>")[0]
    assert made.token_key in messages  # the token begins with it
    assert "nightly (admin)" in messages
    assert made.digest not in messages
