"""Routes of the bridge's pages, for IT."""

from django.urls import path, re_path

from wecom_bridge.views import books, checklist, connection, doctor, inbox, onboarding, status, sync

urlpatterns = [
    path("bridge/", connection.home, name="bridge_home"),
    path("bridge/corps/new/", connection.corp_new, name="bridge_corp_new"),
    path("bridge/corps/<int:pk>/", connection.corp_edit, name="bridge_corp"),
    path("bridge/corps/<int:pk>/keys/", connection.corp_keys, name="bridge_corp_keys"),
    path("bridge/corps/<int:pk>/doctor/", doctor.doctor_page, name="bridge_doctor"),
    path("bridge/onboarding/", onboarding.start, name="bridge_onboarding"),
    path("bridge/onboarding/<int:pk>/", onboarding.wizard, name="bridge_wizard"),
    path("bridge/onboarding/<int:pk>/check/", onboarding.check, name="bridge_wizard_check"),
    path("bridge/onboarding/<int:pk>/file/", onboarding.upload, name="bridge_wizard_file"),
    path("bridge/onboarding/<int:pk>/link/", onboarding.link, name="bridge_wizard_link"),
    path("bridge/checklist/<str:token>/", checklist.checklist_page, name="bridge_checklist"),
    re_path(r"^(?P<name>WW_verify_[A-Za-z0-9]{16}\.txt)$", checklist.verify_file, name="bridge_verify_file"),
    path("bridge/corps/<int:pk>/sync/", sync.sync_start, name="bridge_sync_start"),
    path("bridge/syncs/<int:pk>/", sync.sync_detail, name="bridge_sync"),
    path("bridge/syncs/<int:pk>/decide/", sync.sync_decide, name="bridge_sync_decide"),
    path("bridge/status/", status.status, name="bridge_status"),
    path("bridge/inbox/", inbox.inbox_list, name="bridge_inbox"),
    path("bridge/inbox/replay/", inbox.inbox_replay, name="bridge_inbox_replay"),
    path("bridge/syncs/<int:pk>/repair/", sync.sync_repair, name="bridge_sync_repair"),
    path("bridge/outbox/", books.outbox_list, name="bridge_outbox"),
    path("bridge/outbox/act/", books.outbox_act, name="bridge_outbox_act"),
]
