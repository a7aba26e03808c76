"""Make the first person of a new installation."""

import os
import secrets
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from accounts.models import User

NAME = "admin"
LOCK = 4_120_001  # two starts at once make one admin


class Command(BaseCommand):
    help = "Make the superuser `admin` if nobody exists yet, and print the password once."

    def handle(self, *args: Any, **options: Any) -> None:
        given = os.environ.get("LEADSCORE_ADMIN_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            if User.objects.exists():
                return
            admin = User.objects.create_superuser(username=NAME, password=password)
            group, _ = Group.objects.get_or_create(name="admin")
            admin.groups.add(group)
        if given:
            self.stdout.write(f"Made the first user, {NAME}, with the password of LEADSCORE_ADMIN_PASSWORD.")
        else:
            self.stdout.write(f"Made the first user. Name: {NAME}  Password: {password}  (shown only this once)")
