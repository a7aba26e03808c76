from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("territories", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="webhookmessage",
            name="webhookmessage_due",
        ),
        migrations.AlterField(
            model_name="webhookmessage",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="Since it was made, or sent again by a person."
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("contractor__isnull", False), ("status__in", ["expired", "cancelled"])),
                fields=["ended_at"],
                name="referral_taken_away",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["contractor", "next_attempt_at"],
                name="webhookmessage_to_send",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(fields=["-created_at", "-id"], name="webhookmessage_newest"),
        ),
    ]
