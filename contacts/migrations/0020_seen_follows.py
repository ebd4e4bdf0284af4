from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0019_phones_to_add")]

    operations = [
        migrations.AddIndex(
            model_name="follow",
            index=models.Index(
                condition=models.Q(("relation", "transferred"), _negated=True),
                fields=["member", "contact"],
                name="follow_seen",
            ),
        ),
    ]
