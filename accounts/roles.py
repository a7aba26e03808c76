"""What each role may do. The table below is the one source; migrate writes it into the groups."""

from typing import Any

VIEWER = frozenset(
    {
        "leads.view_lead",
        "tags.view_tag",
        "jobs.view_job",
        "territories.view_contractor",
        "territories.view_territory",
        "territories.view_referral",
        "territories.view_generationprofile",
    }
)
ANALYST = VIEWER | {
    "imports.view_importbatch",
    "imports.import_leads",
    "leads.export_leads",
    "leads.change_lead",
    "tags.assign_tag",
    "territories.change_referral",  # assign, cancel, release a lead's referral
}
MANAGER = ANALYST | {
    "scoring.recalculate_scores",
    "tags.add_tag",
    "tags.change_tag",
    "tags.add_taggroup",
    "tags.change_taggroup",
    "tags.view_taggroup",
    "tags.view_tagalias",
    "tags.view_rulechange",
    "territories.add_contractor",
    "territories.change_contractor",
    "territories.add_territory",
    "territories.change_territory",
    "territories.add_generationprofile",
    "territories.change_generationprofile",
    "territories.generate_leads",
    "territories.decide_return",
    "territories.view_webhookmessage",
    "territories.change_webhookmessage",
}
ADMIN = MANAGER | {
    "accounts.view_user",
    "accounts.add_user",
    "accounts.change_user",
    "accounts.view_apitoken",
    "accounts.delete_apitoken",
    "jobs.change_job",
    "jobs.view_metrics",
}
ROLES: dict[str, frozenset[str]] = {
    "viewer": VIEWER,
    "analyst": ANALYST,
    "manager": MANAGER,
    "admin": ADMIN,
    "contractor": frozenset({"territories.use_contractor_api"}),  # sees its own referrals only, by API
}


def grant_role_permissions(using: str = "default", **kwargs: Any) -> None:
    """Make the groups hold at least the permissions of their role; what a person added stays."""
    from django.contrib.auth.models import Group, Permission

    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.using(using).values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    for role, wanted in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        group.permissions.add(*(known[name] for name in wanted if name in known))
