import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0007_ended_relations"),
        ("wecom_bridge", "0007_long_cursors"),
    ]

    operations = [
        migrations.CreateModel(
            name="WecomLoginRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("makes_accounts", models.BooleanField(default=False)),
                (
                    "corp",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="wecom_bridge.corp"
                    ),
                ),
            ],
        ),
    ]
