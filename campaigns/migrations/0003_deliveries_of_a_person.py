from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_void_says_why")]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("contact__isnull", False)),
                fields=["contact", "frozen_at"],
                name="delivery_contact_frozen",
            ),
        ),
    ]
