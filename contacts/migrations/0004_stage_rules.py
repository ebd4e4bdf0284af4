from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0003_notes_and_todos"),
    ]

    operations = [
        migrations.AddField(
            model_name="stage",
            name="leads_back",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="stage",
            name="needs_reason",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="stage",
            name="max_days",
            field=models.SmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="contact",
            name="ruled_stage",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(
                condition=Q(("root__isnull", True)),
                fields=["stage", "stage_since", "id"],
                name="contact_stage_since",
            ),
        ),
    ]
