"""Pages of lead tags keep a fifth of their room: an expiry flag then flips in place, and touches no index."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tags", "0002_seed_tags")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE tags_leadtag SET (fillfactor = 80)", "ALTER TABLE tags_leadtag RESET (fillfactor)"
        )
    ]
