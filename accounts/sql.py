"""Statements about rights."""

from django.db import connection

# Index: primary keys of the users' groups and rights. Written out, for the ORM takes longer to compose this than
# PostgreSQL to answer, and each request of the API asks it once.
_HAS_RIGHT = """
    SELECT EXISTS (
        SELECT 1 FROM auth_permission permission
        JOIN django_content_type content_type ON content_type.id = permission.content_type_id
        WHERE content_type.app_label = %(app)s AND permission.codename = %(codename)s
          AND (
            permission.id IN (
                SELECT given.permission_id FROM auth_group_permissions given
                JOIN accounts_user_groups member ON member.group_id = given.group_id WHERE member.user_id = %(user_id)s
            )
            OR permission.id IN (
                SELECT own.permission_id FROM accounts_user_user_permissions own WHERE own.user_id = %(user_id)s
            )
          )
    )
"""


def has_right(*, user_id: int, right: str) -> bool:
    """Whether a person has a right such as "leads.view_lead", by a group or by itself."""
    app, _, codename = right.partition(".")
    with connection.cursor() as cursor:
        cursor.execute(_HAS_RIGHT, {"user_id": user_id, "app": app, "codename": codename})
        return bool(cursor.fetchone()[0])
