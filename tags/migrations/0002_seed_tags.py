"""The field's usual reasons, with weights in hundreds so that a stack of them passes 2,000."""

from django.db import migrations
from django.utils import timezone

# name, colour, points, days until expiry, decay steps, percent left after expiry, group
SEED = [
    ("Foreclosure", "#c92a2a", 1000, 365, [[90, 80], [180, 60], [270, 40]], 0, "Foreclosure process"),
    ("Pre-foreclosure", "#e03131", 800, 270, [[60, 85], [120, 65], [180, 45]], 0, "Foreclosure process"),
    ("Auction", "#a61e4d", 900, 90, [[30, 70], [60, 40]], 0, "Foreclosure process"),
    ("Tax Delinquent", "#d9480f", 600, 730, [[180, 90], [365, 70], [545, 50]], 10, "Tax trouble"),
    ("Tax Lien", "#e8590c", 650, 730, [[180, 90], [365, 70], [545, 50]], 10, "Tax trouble"),
    ("Tax Sale", "#bf360c", 700, 365, [[90, 85], [180, 60]], 0, "Tax trouble"),
    ("Probate", "#5f3dc4", 700, 730, [[180, 90], [365, 60]], 10, None),
    ("Inherited", "#7048e8", 500, 730, [[365, 60]], 0, None),
    ("Divorce", "#9c36b5", 600, 365, [[90, 85], [180, 60]], 0, None),
    ("Eviction", "#ae3ec9", 400, 180, [[60, 75], [120, 50]], 0, None),
    ("Bankruptcy", "#862e9c", 600, 730, [[180, 80], [365, 50]], 0, None),
    ("Judgment Lien", "#c2255c", 350, 1095, [[365, 70], [730, 40]], 0, None),
    ("Mechanics Lien", "#d6336c", 300, 365, [[180, 60]], 0, None),
    ("HOA Lien", "#e64980", 300, 730, [[365, 60]], 0, None),
    ("Code Violation", "#e67700", 400, 365, [[90, 80], [180, 50]], 0, "Condition"),
    ("Vacant", "#f08c00", 500, 365, [[180, 70]], 0, "Condition"),
    ("Condemned", "#995700", 600, 365, [[180, 70]], 0, "Condition"),
    ("Fire Damage", "#b35900", 500, 365, [[90, 80], [180, 50]], 0, "Condition"),
    ("Absentee In County", "#1971c2", 150, None, [], 0, "Absentee"),
    ("Absentee Out of County", "#1864ab", 250, None, [], 0, "Absentee"),
    ("Absentee Out of State", "#0b5394", 350, None, [], 0, "Absentee"),
    ("High Equity", "#2b8a3e", 300, None, [], 0, None),
    ("Free and Clear", "#2f9e44", 350, None, [], 0, None),
    ("Tired Landlord", "#0c8599", 350, 730, [[365, 60]], 0, None),
    ("Senior Owner", "#0b7285", 200, None, [], 0, None),
    ("Long-time Owner", "#099268", 150, None, [], 0, None),
    ("Expired Listing", "#3b5bdb", 300, 180, [[60, 70], [120, 40]], 0, None),
    ("Failed Listing", "#4263eb", 250, 180, [[60, 70], [120, 40]], 0, None),
]
GROUPS = {"Foreclosure process": 1200, "Tax trouble": 1000, "Condition": 900, "Absentee": 350}


def fold(name):
    return "".join(c for c in name.casefold() if c.isalnum())


def add_seed(apps, schema_editor):
    Tag, TagGroup = apps.get_model("tags", "Tag"), apps.get_model("tags", "TagGroup")
    groups = {name: TagGroup.objects.get_or_create(name=name, defaults={"cap": cap})[0] for name, cap in GROUPS.items()}
    for name, color, base, days, steps, expired, group in SEED:
        Tag.objects.get_or_create(
            name_key=fold(name),
            defaults={
                "name": name,
                "color": color,
                "base_score": base,
                "expiration_days": days,
                "decay_steps": steps,
                "expired_percent": expired,
                "group": groups.get(group),
            },
        )
    begin_history(apps, Tag, "HistoricalTag")
    begin_history(apps, TagGroup, "HistoricalTagGroup")
    TagAlias = apps.get_model("tags", "TagAlias")
    for alias, name in ALIASES.items():
        tag = Tag.objects.get(name_key=fold(name))
        TagAlias.objects.get_or_create(name_key=fold(alias), defaults={"tag": tag})


def begin_history(apps, model, history_name):
    """The first row of each rule's history: migrations' models do not write it themselves."""
    history = apps.get_model("tags", history_name)
    names = [field.attname for field in model._meta.concrete_fields]
    history.objects.bulk_create(
        history(history_date=timezone.now(), history_type="+", **{name: getattr(row, name) for name in names})
        for row in model.objects.all()
    )


# How county and vendor lists spell the same reasons.
ALIASES = {
    "Foreclosures": "Foreclosure",
    "Preforeclosures": "Pre-foreclosure",
    "Lis Pendens": "Pre-foreclosure",
    "NOD": "Pre-foreclosure",
    "Notice of Default": "Pre-foreclosure",
    "Delinquent Taxes": "Tax Delinquent",
    "Delinquent Tax": "Tax Delinquent",
    "Tax Default": "Tax Delinquent",
    "Code Violations": "Code Violation",
    "Code Enforcement": "Code Violation",
    "Vacancy": "Vacant",
    "Vacant House": "Vacant",
    "Vacant Building": "Vacant",
    "Probates": "Probate",
    "Evictions": "Eviction",
    "Bankruptcies": "Bankruptcy",
    "Divorces": "Divorce",
    "Out of State": "Absentee Out of State",
    "Absentee Owner": "Absentee In County",
}


def remove_seed(apps, schema_editor):
    """Take away only what nobody uses."""
    Tag, LeadTag = apps.get_model("tags", "Tag"), apps.get_model("tags", "LeadTag")
    used = LeadTag.objects.values("tag_id")
    Tag.objects.filter(name_key__in=[fold(row[0]) for row in SEED]).exclude(pk__in=used).delete()


class Migration(migrations.Migration):
    dependencies = [("tags", "0001_initial")]
    operations = [migrations.RunPython(add_seed, remove_seed)]
