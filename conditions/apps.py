from django.apps import AppConfig


class ConditionsConfig(AppConfig):
    name = "conditions"

    def ready(self) -> None:
        from conditions.dirty import LANE
        from conditions.drain import count_due, drain_marks, next_due
        from tenants import lanes, quiet

        lanes.register(lanes.Lane(LANE, queue="segments", drain=drain_marks, next_due=next_due))
        quiet.register("dirty_marks", count_due)
