"""The criteria of lead generation that this room registers itself."""

from django import forms
from psycopg import sql

from territories.generation.registry import Criterion, add_criterion


def register() -> None:
    add_criterion(
        Criterion(
            key="is_reachable",
            make_field=lambda: forms.BooleanField(
                label="Only with a phone number or an e-mail address",
                required=False,
                help_text="Off: also leads that can be reached by mail only.",
            ),
            condition=lambda value, bind: sql.SQL("(lead.phone <> '' OR lead.email <> '')"),
            in_words=lambda value: "with a phone number or an e-mail address",
        )
    )
