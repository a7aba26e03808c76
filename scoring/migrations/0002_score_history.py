"""The history of scores: a table partitioned by month, which Django's own models cannot say."""

from django.db import migrations, models

CREATE = """
    CREATE TABLE scoring_scorechange (
        id bigint GENERATED ALWAYS AS IDENTITY,
        lead_id bigint NOT NULL,
        at timestamptz NOT NULL,
        from_score integer NOT NULL,
        to_score integer NOT NULL,
        cause smallint NOT NULL,
        job_id bigint,
        CONSTRAINT scorechange_is_a_change CHECK (from_score <> to_score)
    ) PARTITION BY RANGE (at);
    CREATE TABLE scoring_scorechange_default PARTITION OF scoring_scorechange DEFAULT;
    CREATE INDEX scorechange_by_lead ON scoring_scorechange (lead_id, at);
"""


class Migration(migrations.Migration):
    dependencies = [("scoring", "0001_initial")]

    operations = [
        migrations.RunSQL(CREATE, "DROP TABLE scoring_scorechange"),
        migrations.CreateModel(
            name="ScoreChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lead_id", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("from_score", models.IntegerField()),
                ("to_score", models.IntegerField()),
                (
                    "cause",
                    models.SmallIntegerField(
                        choices=[
                            (1, "rule change"),
                            (2, "import"),
                            (3, "tag change"),
                            (4, "expiration"),
                            (5, "decay"),
                        ]
                    ),
                ),
                ("job_id", models.BigIntegerField(blank=True, null=True)),
            ],
            options={"managed": False, "default_permissions": ()},
        ),
    ]
