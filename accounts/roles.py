"""What each role may do. The table below is the one source; migrate writes it into the groups."""

from typing import Any

VIEWER = frozenset({"leads.view_lead", "tags.view_tag", "jobs.view_job"})
ANALYST = VIEWER | {
    "imports.view_importbatch",
    "imports.import_leads",
    "leads.export_leads",
    "leads.change_lead",
    "tags.assign_tag",
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
    "contractor": frozenset(),  # sees its own referrals only, by API
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
