"""Behaviour that the reference leaves open, or that a test wants otherwise. Each has a documented default."""

from dataclasses import asdict, dataclass, field, fields

from simulator.world.quota import RULES


@dataclass
class Switches:
    """Read by everything, changed through `/control/switches`; `set` refuses unknown names and wrong types."""

    quota_rule: str = "month_days"
    personal_sends_use_quota: bool = True
    callbacks_on_api_writes: bool = False
    empty_customer_list_is_84061: bool = True
    batch_takes_single_userid: bool = False
    group_out_of_range_code: int = 60011
    sensitive_member_fields: bool = False
    check_images: bool = True
    uploadimg_bytes: int = 2 * 1024 * 1024
    uploadimg_per_day: int = 1000
    uploadimg_per_month: int = 3000
    tickets_per_corp_hour: int = 400
    tickets_per_app_hour: int = 100
    used_code_errcode: int = 40029
    app_messages_per_account_day: int = 200
    overlong_message_is_cut: bool = True
    card_field_errcode: int = 42014
    response_code_hours: int = 72
    repeated_card_is_swallowed: bool = True
    card_options_misspelt: bool = False
    unknown_strategy_errcode: int = 60136
    mass_dispatch_seconds: float = 0.0
    moments_per_minute: int = 10
    moment_job_seconds: float = 0.0
    moment_jobs_most: int = 100
    moment_dispatch_seconds: float = 0.0
    moment_errors_at_once: bool = False
    moments_per_customer_month: int = 4
    transfer_seconds: int = 86_400
    group_transfer_seconds: int = 0
    transfer_login_rule: bool = True
    transfer_customers_most: int = 20_000
    transfer_carries_tags: bool = True
    transfer_twice_in_days: int = 90
    group_transfers_per_day: int = 300
    group_transfer_full_at: int = 500
    group_transfer_event: bool = True
    statistics_of_today: bool = False
    mass_sends_are_messages: bool = True
    rate_limits: bool = True
    per_api_minute: int = 10_000
    per_api_hour: int = 150_000
    per_ip_minute: int = 20_000
    per_ip_hour: int = 600_000
    chaos_45009_blocks: bool = False
    mark_tag_concurrency: int = 5
    latency_ms: list = field(default_factory=lambda: [0, 0])
    block_ip: bool = False
    wrong_secret_bans_ip: bool = False
    callback_timeout: float = 5.0
    callback_retries: int = 3
    callback_retry_spacing: list = field(default_factory=lambda: [1.0, 2.0, 4.0])
    callback_workers: int = 16
    callback_drop: float = 0.0
    callback_double: float = 0.0
    callback_reorder: float = 0.0
    own_sends_per_guide_month: float = 0.0
    own_send_audience: int = 60
    contact_ways_most: int = 500_000
    temp_ways_per_day: int = 100_000
    temp_ways_allowed: bool = False
    contact_way_styles: int = 3
    mark_source_default: bool = True
    friend_scan_causes_nothing: bool = True
    unverified_scan_is_half: bool = True
    group_full_at: int = 200
    join_way_lists_made_rooms: bool = True
    acquisition_links_most: int = 50_000
    acquisition_range_most: int = 500
    acquisition_priority_allowed: bool = False
    acquisition_billed_at_add: bool = False
    acquisition_open_profile: bool = False
    acquisition_start_chat_names_link: bool = True
    unknown_link_errcode: int = 40058
    life: bool = False
    life_adds: float = 12.0
    life_chats: float = 0.3
    life_notes: float = 0.02
    life_tags: float = 0.05
    life_group_joins: float = 8.0
    life_group_leaves: float = 4.0
    life_joiners: float = 0.02
    hidden_facts: bool = False
    hidden_sends: float = 0.1
    hidden_guide_deletes: float = 0.003
    hidden_customer_deletes: float = 0.01
    hidden_leavers: float = 0.02
    hidden_console: float = 3.0

    def set(self, changes: dict) -> None:
        """Apply `changes` by name, all or none. Raises ValueError naming what is wrong."""
        kinds = {row.name: type(getattr(self, row.name)) for row in fields(self)}
        clean = {}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"unknown switch: {name}")
            clean[name] = _fit(name, kinds[name], value)
        for name, value in clean.items():
            setattr(self, name, value)

    def shown(self) -> dict:
        """All switches with their values."""
        return asdict(self)


def _fit(name: str, kind: type, value: object) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"switch {name} wants {kind.__name__}")
    if name.startswith(("life_", "hidden_")) and isinstance(value, float) and value < 0:
        raise ValueError(f"{name} is not below 0")
    if name == "quota_rule" and value not in RULES:
        raise ValueError(f"quota_rule is one of {', '.join(RULES)}")
    return value
