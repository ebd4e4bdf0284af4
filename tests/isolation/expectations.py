"""What the sweep expects of each route. A route that is not here fails; so does a line without a route.

Who may come in is read from the view (@requires, @public, required_scope). A line adds what the view cannot say:

    "user_edit": Route(pk="accounts.User"),          # its id names a row of the merchant: MAKERS below makes one
    **_in("contacts", contact=Route(pk="contacts.Contact"), …)          # routes of an app with a namespace
    "style": Route(public="…why…"),                  # for views that belong to no app
    "token_revoke": Route(pk="accounts.ApiToken", body={"sure": 1}, own={404}),
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.models import ApiToken, LoginSession, Role
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.core import make_user


@dataclass(frozen=True)
class Expect:
    """pk: label of the model its `pk` names, made by MAKERS; ids: the same for other arguments; args: arguments as they are;
    body: what a POST sends; public: why anybody may come, for views that cannot say; own: statuses the merchant's own person
    may see besides the usual; calls_out: serving it asks WeCom, which a rolled-back test cannot."""

    pk: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    public: str = ""
    own: frozenset[int] | set[int] = frozenset()
    calls_out: bool = False


Route = Expect  # reads better in the table


def _in(namespace: str, **routes: Expect) -> dict[str, Expect]:
    """Routes of an app with a namespace; a trailing underscore frees a name that Python keeps for itself."""
    return {f"{namespace}:{name.rstrip('_')}": expected for name, expected in routes.items()}


_ACCOUNTS = {
    "login": Route(),
    "logout": Route(),
    "set_language": Route(),
    "welcome": Route(args={"token": "x" * 43}, own={410}),
    "password_change": Route(),
    "sessions": Route(),
    "session_end": Route(pk="accounts.LoginSession", own={404}),  # 404 for everybody but herself
    "session_end_others": Route(),
    "users": Route(),
    "user_create": Route(),
    "user_edit": Route(pk="accounts.User"),
    "user_link": Route(pk="accounts.User"),
    "user_active": Route(pk="accounts.User"),
}

TENANT_ROUTES: dict[str, Expect] = {
    # accounts
    **_ACCOUNTS,
    "roles": Route(),
    "role_create": Route(),
    "role_edit": Route(pk="accounts.Role"),
    "role_delete": Route(pk="accounts.Role"),
    "tokens": Route(),
    "token_revoke": Route(pk="accounts.ApiToken"),
    "retention": Route(),
    "audit": Route(),
    "api_schema": Route(),
    "api_sandbox_quiet": Route(),
    "api_sandbox_clock": Route(),
    # interface
    "style": Route(public="components with sample content"),
    "style_phone": Route(public="components with sample content"),
    **_in(
        "analytics",
        home=Route(),
        lifecycle=Route(),
        lifecycle_rows=Route(),
        funnel=Route(),
        funnel_rows=Route(args={"metric": "planned"}),
        day_rows=Route(args={"metric": "added"}),
        metrics=Route(),
    ),
    **_in(
        "contacts",
        wecom_start=Route(pk="wecom_bridge.Corp"),
        wecom_back=Route(),
        wecom_settings=Route(),
        toolbar_home=Route(),
        toolbar=Route(pk="wecom_bridge.Corp"),
        toolbar_sign=Route(pk="wecom_bridge.Corp", body={"url": "https://elsewhere.example/"}),
        toolbar_open=Route(pk="wecom_bridge.Corp", body={"external_userid": "wm1"}),
        wecom_rule=Route(pk="wecom_bridge.Corp"),
        contact_list=Route(),
        bulk=Route(own={404}),
        columns=Route(),
        view_list=Route(),
        view_new=Route(),
        view_edit=Route(pk="contacts.SavedView"),
        view_update=Route(pk="contacts.SavedView"),
        view_delete=Route(pk="contacts.SavedView"),
        export_start=Route(),
        export_limit=Route(body={"most": "5000"}),
        export_list=Route(),
        export=Route(pk="ledger.Job", own={404}),  # 404 for everybody but who asked for it
        export_status=Route(pk="ledger.Job", own={404}),
        export_file=Route(pk="ledger.Job", own={404}),
        import_list=Route(),
        import_template=Route(own={404}),  # without a kind
        import_=Route(pk="contacts.ImportRun"),
        import_status=Route(pk="contacts.ImportRun"),
        import_check=Route(pk="contacts.ImportRun"),
        import_start=Route(pk="contacts.ImportRun"),
        import_undo=Route(pk="contacts.ImportRun"),
        import_rejects=Route(pk="contacts.ImportRun", own={404}),
        contact=Route(pk="contacts.Contact"),
        contact_move=Route(pk="contacts.Contact"),
        contact_timeline=Route(pk="contacts.Contact"),
        contact_stage=Route(pk="contacts.Contact"),
        contact_owner=Route(pk="contacts.Contact"),
        contact_opt_out=Route(pk="contacts.Contact"),
        contact_unmask=Route(pk="contacts.Contact"),
        # 404 for the merchant's own person too: each id below is a row of another customer than the one before it.
        note_add=Route(pk="contacts.Contact"),
        note_edit=Route(pk="contacts.Contact", ids={"note_pk": "contacts.Note"}, own={404}),
        todo_add=Route(pk="contacts.Contact"),
        todo_done=Route(pk="contacts.Contact", ids={"todo_pk": "contacts.Todo"}, own={404}),
        todo_due=Route(pk="contacts.Contact", ids={"todo_pk": "contacts.Todo"}, own={404}),
        todo_give=Route(pk="contacts.Contact", ids={"todo_pk": "contacts.Todo"}, own={404}),
        details_edit=Route(pk="contacts.Contact"),
        details_unmask=Route(pk="contacts.Contact"),
        remark_edit=Route(pk="contacts.Contact", ids={"follow_pk": "contacts.Follow"}, own={404}),
        remark_retry=Route(pk="contacts.Contact", ids={"follow_pk": "contacts.Follow"}, own={404}),
        consent_add=Route(pk="contacts.Contact"),
        contact_erase=Route(pk="contacts.Contact"),
        erasure_list=Route(),
        erasure=Route(pk="contacts.ErasureRequest"),
        erasure_status=Route(pk="contacts.ErasureRequest"),
        erasure_take_back=Route(pk="contacts.ErasureRequest"),
        bulk_stage=Route(),
        bulk_owner=Route(),
        bulk_list=Route(),
        bulk_change=Route(pk="contacts.BulkChange"),
        bulk_status=Route(pk="contacts.BulkChange"),
        bulk_undo=Route(pk="contacts.BulkChange"),
        stage_list=Route(),
        stage_new=Route(),
        stage_edit=Route(pk="contacts.Stage"),
        stage_shift=Route(pk="contacts.Stage"),
        stage_archive=Route(pk="contacts.Stage"),
        stage_restore=Route(pk="contacts.Stage"),
        field_list=Route(),
        field_new=Route(),
        field_edit=Route(pk="contacts.CustomField"),
        field_type=Route(pk="contacts.CustomField"),
        field_shift=Route(pk="contacts.CustomField"),
        field_archive=Route(pk="contacts.CustomField"),
        field_restore=Route(pk="contacts.CustomField"),
        board=Route(),
        board_column=Route(pk="contacts.Stage"),
        overdue_list=Route(),
        phone_list=Route(),
        group_list=Route(),
        group=Route(pk="contacts.GroupChat"),
        handover_list=Route(),
        handover_leavers=Route(),
        handover_leavers_read=Route(),
        handover_members=Route(),
        handover_new=Route(own={404}),  # without a member
        handover=Route(pk="contacts.HandoverPlan"),
        handover_save=Route(pk="contacts.HandoverPlan"),
        handover_start=Route(pk="contacts.HandoverPlan"),
        handover_stop=Route(pk="contacts.HandoverPlan"),
        handover_again=Route(pk="contacts.HandoverPlan"),
        handover_delete=Route(pk="contacts.HandoverPlan"),
        ended_list=Route(),
        ended_export=Route(),
        alarm_handled=Route(pk="contacts.DeletionAlarm"),
        freeze_lift=Route(pk="contacts.DeletionAlarm", body={"reason": "x"}, own={409}),  # an old alarm froze nothing
        merge_pick=Route(pk="contacts.Contact"),
        merge=Route(pk="contacts.Contact", ids={"other_pk": "contacts.Contact"}),
        merge_list=Route(),
        merge_undo=Route(pk="contacts.ContactMerge"),
        duplicate_list=Route(),
        duplicate_search=Route(),
        duplicate_status=Route(pk="ledger.Job", own={404}),  # the job of the sweep is of another kind
        duplicate_refuse=Route(pk="contacts.Duplicate"),
        duplicate_reopen=Route(pk="contacts.Duplicate"),
        shared_list=Route(),
        shared_phone=Route(pk="contacts.SharedPhone"),
        clash_list=Route(),
        clash_handled=Route(pk="contacts.Clash"),
        adding_list=Route(),
        adding_reassign=Route(),
        adding_days=Route(),
        adding_batches=Route(),
        adding_batch=Route(pk="contacts.PhoneBatch"),
        adding_distribute=Route(pk="contacts.PhoneBatch"),
        adding_stop=Route(pk="contacts.PhoneBatch"),
        phone_adding=Route(),
        phone_adding_copy=Route(pk="contacts.PhoneToAdd", own={404}),  # of no guide yet
        phone_adding_mark=Route(pk="contacts.PhoneToAdd", own={404}),
        owner_rule=Route(),
        owner_rule_start=Route(body={"what": "count"}),
        owner_rule_status=Route(pk="ledger.Job", own={404}),
        group_repeated=Route(),
        group_tags=Route(),
        group_tag_set_create=Route(),
        group_tag_bulk=Route(),
        group_tag_set_act=Route(pk="contacts.GroupTagSet", args={"act": "rename"}),
        group_tag_act=Route(pk="contacts.GroupTag", args={"act": "rename"}),
        group_tag_add=Route(pk="contacts.GroupChat", body={"name": "新客群"}),
        group_tag_remove=Route(pk="contacts.GroupChat", args={"tag_pk": 77}),
        store_list=Route(),
        store_new=Route(),
        store_edit=Route(pk="contacts.Store"),
        store_archive=Route(pk="contacts.Store"),
        region_list=Route(),
        region_new=Route(),
        region_edit=Route(pk="contacts.Region"),
        region_archive=Route(pk="contacts.Region"),
        dealer_list=Route(),
        dealer_new=Route(),
        dealer_edit=Route(pk="contacts.Dealer"),
        dealer_archive=Route(pk="contacts.Dealer"),
        department_map=Route(),
        change_list=Route(),
        changes_place=Route(),
        change=Route(pk="contacts.StaffChange"),
        change_decide=Route(pk="contacts.StaffChange"),
        member_list=Route(),
        member=Route(pk="contacts.Member"),
        member_archive=Route(pk="contacts.Member"),
        member_move=Route(pk="contacts.Member"),
        member_link=Route(pk="contacts.Member"),
    ),
    **_in(
        "commerce",
        order_list=Route(),
        bind_again=Route(),
        order=Route(pk="commerce.Order"),
        order_bind=Route(pk="commerce.Order", own={404}),
        import_new=Route(),
        import_template=Route(),
        import_=Route(pk="commerce.OrderImport"),
        import_status=Route(pk="commerce.OrderImport"),
        import_rejects=Route(pk="commerce.OrderImport", own={404}),
    ),
    # bridge
    "bridge_home": Route(),
    "bridge_corp_new": Route(),
    "bridge_corp": Route(pk="wecom_bridge.Corp"),
    "bridge_corp_keys": Route(pk="wecom_bridge.Corp"),
    "bridge_doctor": Route(pk="wecom_bridge.Corp", calls_out=True),
    "bridge_onboarding": Route(),
    "bridge_wizard": Route(pk="wecom_bridge.Corp"),
    "bridge_wizard_check": Route(pk="wecom_bridge.Corp", calls_out=True),
    "bridge_wizard_file": Route(pk="wecom_bridge.Corp"),
    "bridge_wizard_link": Route(pk="wecom_bridge.Corp"),
    "bridge_checklist": Route(args={"token": "7.nobody-signed-this"}, own={404}),
    "bridge_verify_file": Route(args={"name": "WW_verify_0123456789abcdef.txt"}, own={404}),
    "bridge_sync_start": Route(pk="wecom_bridge.Corp"),
    "bridge_sync": Route(pk="wecom_bridge.SyncRun"),
    "bridge_sync_decide": Route(pk="wecom_bridge.SyncRun"),
    "bridge_status": Route(),
    "bridge_sync_repair": Route(pk="wecom_bridge.SyncRun"),
    "bridge_inbox": Route(),
    "bridge_inbox_replay": Route(),
    "bridge_outbox": Route(),
    "bridge_outbox_act": Route(),
    **_in(
        "campaigns",
        broadcast_list=Route(),
        broadcast_new=Route(),
        broadcast_detail=Route(pk="campaigns.Broadcast"),
        broadcast_status=Route(pk="campaigns.Broadcast"),
        broadcast_content=Route(pk="campaigns.Broadcast"),
        broadcast_audience=Route(pk="campaigns.Broadcast"),
        broadcast_preflight=Route(pk="campaigns.Broadcast"),
        broadcast_people=Route(pk="campaigns.Broadcast"),
        broadcast_submit=Route(pk="campaigns.Broadcast"),
        broadcast_withdraw=Route(pk="campaigns.Broadcast"),
        broadcast_copy=Route(pk="campaigns.Broadcast"),
        broadcast_stop=Route(pk="campaigns.Broadcast"),
        broadcast_remind=Route(pk="campaigns.Broadcast"),
        broadcast_refresh=Route(pk="campaigns.Broadcast"),
        approval_list=Route(),
        approval_detail=Route(pk="campaigns.Approval"),
        approval_approve=Route(pk="campaigns.Approval"),
        approval_reject=Route(pk="campaigns.Approval"),
        sop_list=Route(),
        sop_new=Route(),
        sop_detail=Route(pk="campaigns.Sop"),
        sop_edit=Route(pk="campaigns.Sop"),
        sop_people=Route(pk="campaigns.Sop"),
        sop_pause=Route(pk="campaigns.Sop"),
        sop_submit=Route(pk="campaigns.Sop"),
        welcome_list=Route(),
        welcome_new=Route(),
        welcome_edit=Route(pk="campaigns.WelcomeTemplate"),
        welcome_rows=Route(),
        today=Route(),
        # 404 for everybody but the guide whose unit it is
        today_unit=Route(pk="campaigns.Dispatch", own={404}),
        today_agree=Route(pk="campaigns.Dispatch", own={404}),
        today_skip=Route(pk="campaigns.Dispatch", own={404}),
        today_exclude=Route(pk="campaigns.Dispatch", own={404}),
    ),
    **_in(
        "tagging",
        tag_list=Route(),
        group_create=Route(),
        tag_create=Route(pk="tagging.TagGroup"),
        tag_rename=Route(pk="tagging.Tag"),
        tag_delete=Route(pk="tagging.Tag"),
        tag_detail=Route(pk="tagging.Tag"),
        merge_list=Route(),
        pretag_list=Route(),
        pretag_paste=Route(),
        pretag_retry=Route(),
        pretag_stop=Route(),
        tag_unused=Route(),
        tag_similar=Route(),
        merge_tag=Route(pk="tagging.Tag"),
        tag_merge=Route(pk="tagging.TagMerge"),
        merge_status=Route(pk="tagging.TagMerge"),
        merge_undo=Route(pk="tagging.TagMerge"),
        merge_delete_old=Route(pk="tagging.TagMerge"),
        tag_describe=Route(pk="tagging.Tag"),
        tag_order=Route(pk="tagging.Tag"),
        group_edit=Route(pk="tagging.TagGroup"),
        group_delete=Route(pk="tagging.TagGroup"),
        group_order=Route(pk="tagging.TagGroup"),
        group_conflicts=Route(pk="tagging.TagGroup"),
        group_keep_latest=Route(pk="tagging.TagGroup"),
        bulk_tag=Route(),
        contact_where=Route(),
        person_tag=Route(pk="contacts.Contact", ids={"tag_pk": "tagging.Tag"}),
        segment_list=Route(),
        segment_new=Route(),
        condition_preview=Route(),
        rfm_grid=Route(),
        list_new=Route(),
        segment_history=Route(pk="tagging.Segment"),
        bulk_list=Route(),
        list_upload=Route(pk="tagging.Segment", own={404}),  # a dynamic one
        list_remove=Route(pk="tagging.Segment", ids={"contact_pk": "contacts.Contact"}, own={404}),
        segment_pin=Route(pk="tagging.Segment", ids={"contact_pk": "contacts.Contact"}, body={"pin": "in"}),
        rfm_segment=Route(),
        rfm_compute=Route(),
        segment_detail=Route(pk="tagging.Segment"),
        segment_edit=Route(pk="tagging.Segment"),
        segment_why=Route(pk="tagging.Segment", ids={"contact_pk": "contacts.Contact"}),
        segment_act=Route(pk="tagging.Segment", args={"act": "archive"}),
        stage_rule=Route(pk="contacts.Stage"),
        stage_rule_apply=Route(pk="contacts.Stage", body={"expected": 0}),
        rule_list=Route(),
        rule_new=Route(),
        rule_trigger=Route(),
        rule_cap=Route(body={"runs_a_day": 3}),
        rule_detail=Route(pk="tagging.Rule"),
        rule_history=Route(pk="tagging.Rule"),
        rule_dry=Route(pk="tagging.Rule"),
        rule_fill=Route(pk="tagging.Rule"),
        rule_fill_act=Route(
            pk="tagging.Rule", ids={"job_pk": "ledger.Job"}, args={"act": "stop"}, own={404}
        ),  # a job of another kind
        rule_retry=Route(pk="tagging.Rule", ids={"contact_pk": "contacts.Contact"}),
        rule_edit=Route(pk="tagging.Rule"),
        rule_why=Route(pk="tagging.Rule", ids={"contact_pk": "contacts.Contact"}),
        rule_act=Route(pk="tagging.Rule", args={"act": "disable"}),
    ),
    # API resources
    "api_contacts": Route(),
    "api_contact": Route(pk="contacts.Contact"),
    "api_events": Route(),
    "api_custom_fields": Route(),
    "api_groups": Route(),
    "api_group": Route(pk="contacts.GroupChat"),
    "api_group_members": Route(pk="contacts.GroupChat"),
    "api_orders": Route(),
    "api_refunds": Route(),
    "api_order": Route(pk="commerce.Order"),
    "api_tags": Route(),
    "api_tag": Route(pk="tagging.Tag"),
    "api_tag_marks": Route(),
    "api_contact_tags": Route(pk="contacts.Contact"),
    "api_segment_entries": Route(pk="tagging.Segment"),
    "api_segment_explain": Route(pk="tagging.Segment"),
    "api_tree_count": Route(),
    "api_condition_fields": Route(),
    "api_segments": Route(),
    "api_segment": Route(pk="tagging.Segment"),
}

PLATFORM_ROUTES: dict[str, Expect] = {
    **_ACCOUNTS,
    "console_tenants": Route(),
    "console_tenant_create": Route(),
    "console_tenant": Route(),
    "console_tenant_retry": Route(),
    "console_tenant_admin_link": Route(),
    "console_tenant_suspend": Route(),
    "console_tenant_resume": Route(),
    "console_tenant_drop": Route(),
    "console_domain_add": Route(),
    "console_domain_remove": Route(),
    "console_audit": Route(),
    "metrics": Route(own={404}),
    "wecom_callback": Route(public="signed by WeCom, checked in the view", args={"opaque": "x" * 32}),
}


# --- One row of each model, made in the merchant in scope -------------------------------------------------------


def _session() -> Any:
    now = clock.wall()
    return LoginSession.objects.create(
        user=make_user(), session_digest=f"key{now.timestamp()}", created_at=now, seen_at=now
    )


def _token() -> Any:
    now = clock.wall()
    return ApiToken.objects.create(
        name="x", prefix=f"{now.timestamp():.0f}"[-12:], token_digest="0" * 64, scopes=[], created_at=now
    )


def _job() -> Any:
    from tenants.ledger.models import Job

    return Job.objects.create(kind="contacts.export", title="x", created_at=clock.wall())


def _sync_run() -> Any:
    from tests.support import wecom
    from wecom_bridge.models import SyncRun

    return SyncRun.objects.create(corp=wecom.make_corp(), started_at=clock.wall())


def _corp() -> Any:
    from tests.support import wecom

    return wecom.make_corp()


def _order() -> Any:
    from tests.support import commerce

    return commerce.make_order()


def _import_run() -> Any:
    from contacts.models import ImportRun

    return ImportRun.objects.create(kind="contacts", file_name="x.csv", heads=["id"], created_at=clock.now())


def _order_import() -> Any:
    from commerce.models import OrderImport

    return OrderImport.objects.create(job_id=_job().pk, created_at=clock.wall())


def _broadcast() -> Any:
    from tests.support import campaigns, contacts

    return campaigns.make_draft([contacts.make_contact()])


def _approval() -> Any:
    from tests.support import campaigns

    with campaigns.at_time(campaigns.MORNING):
        return campaigns.submit(campaigns.make_draft(campaigns.make_customers(1)))


def _dispatch() -> Any:
    from tests.support import campaigns

    with campaigns.at_time(campaigns.local(11)):
        return campaigns.units(campaigns.released(campaigns.make_customers(1)))[0]


def _contact() -> Any:
    """Somebody with a guide: without a relation there is no page."""
    from tests.support import contacts

    return contacts.make_follow().contact


def _note() -> Any:
    from contacts.models import Note

    now = clock.now()
    return Note.objects.create(contact=_contact(), text="想要小样", author_id=1, author_name="林小雅", written_at=now)


def _todo() -> Any:
    from contacts.models import Todo

    contact, now = _contact(), clock.now()
    return Todo.objects.create(
        contact=contact,
        member=contact.owner,
        text="送小样",
        due_at=now,
        created_at=now,
        author_id=1,
        author_name="林小雅",
    )


def _erasure() -> Any:
    from contacts.services.erasing import request_erasure

    contact = _contact()
    return request_erasure(
        contact.pk, asked_by="customer", reason="来信", typed=str(contact.pk), by=SYSTEM, at=clock.now()
    )


def _stage() -> Any:
    from contacts.models import Stage

    return Stage.objects.create(key="vip", name="老会员", order=900)


def _view() -> Any:
    """A shared one: whoever sees the whole merchant may change it."""
    from contacts.models import SavedView

    now = clock.now()
    return SavedView.objects.create(owner=make_user(), name="老客", is_shared=True, created_at=now, changed_at=now)


def _bulk_change() -> Any:
    from contacts.models import BulkChange

    now = clock.now()
    return BulkChange.objects.create(kind="stage", title="x", total=1, unchanged=1, created_at=now, ended_at=now)


def _handover() -> Any:
    from contacts.models import HandoverPlan
    from tests.support import contacts

    return HandoverPlan.objects.create(kind="onjob", from_member=contacts.make_member(), created_at=clock.now())


def _merge() -> Any:
    from contacts.models import ContactMerge
    from contacts.services.merging import merge_roots

    merge_roots([(_contact().pk, _contact().pk)], now=clock.now(), source="manual")
    return ContactMerge.objects.latest("pk")


def _shared_phone() -> Any:
    from contacts.models import SharedPhone

    return SharedPhone.objects.create(phone="+8613800138000", people=4, found_at=clock.now())


def _group_tag() -> Any:
    from contacts.models import GroupTag

    return GroupTag.objects.create(name=f"群标签{GroupTag.objects.count()}", created_at=clock.now())


def _group_tag_set() -> Any:
    from contacts.models import GroupTagSet

    return GroupTagSet.objects.create(name=f"组{GroupTagSet.objects.count()}", created_at=clock.now())


def _contacts(maker: str) -> Callable[[], Any]:
    def make() -> Any:
        from tests.support import contacts

        return getattr(contacts, maker)()

    return make


def _tag() -> Any:
    from tests.support import tagging

    return tagging.make_tag("油皮")


def _tag_merge() -> Any:
    from tagging.models import TagMerge

    return TagMerge.objects.create(old=_tag(), kept=_tag(), state="done", created_at=clock.now(), moved_at=clock.now())


def _rule() -> Any:
    from tagging.models import Rule
    from tests.support.tagging import tree_of

    return Rule.objects.create(name="高客单", tree=tree_of({"all": []}), actions=[], created_at=clock.wall())


def _segment() -> Any:
    from tagging.models import Segment
    from tests.support.tagging import tree_of

    return Segment.objects.create(name="近30天新加未购", tree=tree_of({"all": []}), created_at=clock.wall())


def _sop() -> Any:
    from datetime import time

    from accounts.scope import EVERYTHING
    from campaigns.services import sops
    from tests.support import campaigns

    plan = sops.Plan(steps=[sops.Step(0, time(10), "欢迎来{门店名}")], within=EVERYTHING)
    return sops.create_sop("新客7天", plan, by=campaigns.author()).sop


def _welcome() -> Any:
    from campaigns.models import WelcomeTemplate

    return WelcomeTemplate.objects.create(name="默认", text="您好", is_default=True, created_at=clock.wall())


MAKERS: dict[str, Callable[[], Any]] = {
    "accounts.User": make_user,
    "accounts.Role": lambda: Role.objects.create(name="夜班"),
    "accounts.LoginSession": _session,
    "accounts.ApiToken": _token,
    "ledger.Job": _job,
    "contacts.Contact": _contact,
    "contacts.Note": _note,
    "contacts.Todo": _todo,
    "contacts.Follow": _contacts("make_follow"),
    "contacts.ErasureRequest": _erasure,
    "contacts.Stage": _stage,
    "contacts.BulkChange": _bulk_change,
    "contacts.CustomField": _contacts("make_field"),
    "contacts.DeletionAlarm": _contacts("make_alarm"),
    "contacts.ContactMerge": _merge,
    "contacts.Duplicate": _contacts("make_duplicate"),
    "contacts.SharedPhone": _shared_phone,
    "contacts.Clash": _contacts("make_clash"),
    "contacts.PhoneBatch": lambda: _contacts("make_phone_to_add")().batch,
    "contacts.PhoneToAdd": _contacts("make_phone_to_add"),
    "contacts.GroupChat": _contacts("make_group"),
    "contacts.GroupTag": _group_tag,
    "contacts.GroupTagSet": _group_tag_set,
    "contacts.Store": _contacts("make_store"),
    "contacts.Region": _contacts("make_region"),
    "contacts.Dealer": _contacts("make_dealer"),
    "contacts.Member": _contacts("make_member"),
    "contacts.HandoverPlan": _handover,
    "contacts.SavedView": _view,
    "contacts.StaffChange": _contacts("make_staff_change"),
    "contacts.ImportRun": _import_run,
    "wecom_bridge.Corp": _corp,
    "wecom_bridge.SyncRun": _sync_run,
    "commerce.Order": _order,
    "commerce.OrderImport": _order_import,
    "tagging.Tag": _tag,
    "tagging.TagGroup": lambda: _tag().group,
    "tagging.TagMerge": _tag_merge,
    "tagging.Rule": _rule,
    "tagging.Segment": _segment,
    "campaigns.Approval": _approval,
    "campaigns.Broadcast": _broadcast,
    "campaigns.Sop": _sop,
    "campaigns.WelcomeTemplate": _welcome,
    "campaigns.Dispatch": _dispatch,
}
