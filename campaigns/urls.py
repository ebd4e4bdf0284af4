from django.urls import path

from campaigns.views import approvals, broadcasts, composer, today

app_name = "campaigns"
urlpatterns = [
    path("broadcasts/", broadcasts.broadcast_list, name="broadcast_list"),
    path("broadcasts/new/", composer.broadcast_new, name="broadcast_new"),
    path("broadcasts/<int:pk>/", broadcasts.broadcast_detail, name="broadcast_detail"),
    path("broadcasts/<int:pk>/status/", broadcasts.broadcast_status, name="broadcast_status"),
    path("broadcasts/<int:pk>/content/", composer.broadcast_content, name="broadcast_content"),
    path("broadcasts/<int:pk>/audience/", composer.broadcast_audience, name="broadcast_audience"),
    path("broadcasts/<int:pk>/preflight/", composer.broadcast_preflight, name="broadcast_preflight"),
    path("broadcasts/<int:pk>/people/", broadcasts.broadcast_people, name="broadcast_people"),
    path("broadcasts/<int:pk>/submit/", composer.broadcast_submit, name="broadcast_submit"),
    path("broadcasts/<int:pk>/withdraw/", broadcasts.broadcast_withdraw, name="broadcast_withdraw"),
    path("broadcasts/<int:pk>/copy/", broadcasts.broadcast_copy, name="broadcast_copy"),
    path("broadcasts/<int:pk>/stop/", broadcasts.broadcast_stop, name="broadcast_stop"),
    path("broadcasts/<int:pk>/remind/", broadcasts.broadcast_remind, name="broadcast_remind"),
    path("broadcasts/<int:pk>/refresh/", broadcasts.broadcast_refresh, name="broadcast_refresh"),
    path("approvals/", approvals.approval_list, name="approval_list"),
    path("approvals/<int:pk>/", approvals.approval_detail, name="approval_detail"),
    path("approvals/<int:pk>/approve/", approvals.approval_approve, name="approval_approve"),
    path("approvals/<int:pk>/reject/", approvals.approval_reject, name="approval_reject"),
    path("today/", today.today, name="today"),
    path("today/<int:pk>/", today.today_unit, name="today_unit"),
    path("today/<int:pk>/agree/", today.today_agree, name="today_agree"),
    path("today/<int:pk>/skip/", today.today_skip, name="today_skip"),
    path("today/<int:pk>/exclude/", today.today_exclude, name="today_exclude"),
]
