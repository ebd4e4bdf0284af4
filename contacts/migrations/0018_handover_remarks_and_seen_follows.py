from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0015_duplicates")]

    operations = [
        migrations.AddField(
            model_name="handoverplan",
            name="moves_remarks",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name="follow",
            index=models.Index(
                condition=models.Q(("relation", "transferred"), _negated=True),
                fields=["member", "contact"],
                name="follow_seen",
            ),
        ),
    ]
