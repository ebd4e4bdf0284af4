from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0015_duplicates"),
    ]

    operations = [
        migrations.AddField(
            model_name="deletionalarm",
            name="frozen_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="frozen_user_id",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="lifted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="lifted_by_id",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="tell_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="told",
            field=models.CharField(
                choices=[
                    ("not", "不通知"),
                    ("waiting", "待通知"),
                    ("sending", "通知发送中"),
                    ("sent", "已通知"),
                    ("failed", "通知没有发出"),
                ],
                db_default="not",
                default="not",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="deletionalarm",
            name="told_error",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddIndex(
            model_name="deletionalarm",
            index=models.Index(
                condition=models.Q(("frozen_at__isnull", False), ("lifted_at__isnull", True)),
                fields=["member"],
                name="deletion_alarm_frozen",
            ),
        ),
        migrations.AddIndex(
            model_name="deletionalarm",
            index=models.Index(
                condition=models.Q(("tell_at__isnull", False)), fields=["tell_at"], name="deletion_alarm_tell"
            ),
        ),
        migrations.AddConstraint(
            model_name="deletionalarm",
            constraint=models.CheckConstraint(
                condition=models.Q(("lifted_at__isnull", True), ("frozen_at__isnull", False), _connector="OR"),
                name="deletion_alarm_lifts_freeze",
            ),
        ),
        migrations.AddConstraint(
            model_name="deletionalarm",
            constraint=models.CheckConstraint(
                condition=models.Q(("tell_at__isnull", True), ("told", "waiting"), _connector="OR"),
                name="deletion_alarm_tells_waiting",
            ),
        ),
    ]
