from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0016_frozen_guides")]

    operations = [
        migrations.AddField(
            model_name="importrow",
            name="seen",
            field=models.BigIntegerField(blank=True, null=True),
        ),
    ]
