import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0006_alarms_and_group_tags"),
        ("wecom_bridge", "0006_drift"),
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
