import datetime as dt
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import ApiToken, User

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = "Make an API token for a person and print it; it is shown only now, the database keeps its hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="What will use it, such as 'nightly upload'.")
        parser.add_argument("--days", type=int, help="Days until it expires; without, it never does.")
        parser.add_argument("--json", action="store_true", help="Print one object instead of the bare token.")

    def handle(self, *, username: str, name: str, days: int | None, json: bool, **options: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no user {username!r}.")
        if not person.is_active:
            raise CommandError(f"The user {username!r} is not active: the token would open nothing.")
        if not 1 <= len(name) <= 100 or "\0" in name:
            raise CommandError("Give the token a name of 1 to 100 characters.")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days takes 1 to {MAX_DAYS:,}.")
        expiry = None if days is None else dt.timedelta(days=days)
        made, token = ApiToken.objects.create(user=person, name=name, expiry=expiry)
        if json:
            self.stdout.write(_as_json(made, token))
        else:
            self.stderr.write(f"The token of {username} for {name}, shown only now:")
            self.stdout.write(token)


def _as_json(made: ApiToken, token: str) -> str:
    return json.dumps(
        {
            "user": made.user.get_username(),
            "name": made.name,
            "token": token,
            "expires_at": made.expiry.isoformat() if made.expiry else None,
        }
    )
