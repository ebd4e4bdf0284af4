"""The rows every merchant begins with."""

from contacts.models import Stage

# Keys are ours and stay; names, order and entry rules are the merchant's to change; at first
# everybody but a newcomer enters a stage by hand.
STAGES = (
    ("new", "新添加"),
    ("interested", "有意向"),
    ("first_order", "首购"),
    ("repeat", "复购"),
    ("loyal", "忠诚"),
    ("dormant", "沉睡"),
    ("lapsed", "长期未购"),
)


def seed_stages(_tenant: object = None) -> None:
    """The seven lifecycle stages. Running it again changes nothing."""
    Stage.objects.bulk_create(
        [Stage(key=key, name=name, order=index * 10) for index, (key, name) in enumerate(STAGES, start=1)],
        ignore_conflicts=True,
    )
