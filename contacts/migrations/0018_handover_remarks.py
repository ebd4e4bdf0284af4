from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0017_import_row_seen")]

    operations = [
        migrations.AddField(
            model_name="handoverplan",
            name="moves_remarks",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
