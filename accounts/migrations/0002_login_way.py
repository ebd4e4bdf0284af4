from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="loginsession",
            name="way",
            field=models.CharField(
                choices=[("password", "密码"), ("wecom", "企业微信")],
                db_default="password",
                default="password",
                max_length=8,
            ),
        ),
    ]
