"""Pages of tags, segments and rules."""

from django.urls import path, re_path

from tagging.views import builder, bulk, filtering, rfm, rules, segments, stages, tags

app_name = "tagging"
urlpatterns = [
    path("tags/", tags.tag_list, name="tag_list"),
    path("tags/groups/", tags.group_create, name="group_create"),
    path("tags/groups/<int:pk>/tags/", tags.tag_create, name="tag_create"),
    path("tags/<int:pk>/rename/", tags.tag_rename, name="tag_rename"),
    path("tags/<int:pk>/delete/", tags.tag_delete, name="tag_delete"),
    path("tags/bulk/", bulk.bulk_tag, name="bulk_tag"),
    path("contacts/where/", filtering.contact_where, name="contact_where"),
    path("contacts/<int:pk>/tags/<int:tag_pk>/", tags.person_tag, name="person_tag"),
    path("segments/", segments.segment_list, name="segment_list"),
    path("segments/new/", segments.segment_edit, name="segment_new"),
    path("segments/rfm/", rfm.rfm_grid, name="rfm_grid"),
    path("segments/rfm/segment/", rfm.rfm_segment, name="rfm_segment"),
    path("segments/rfm/compute/", rfm.rfm_compute, name="rfm_compute"),
    path("segments/preview/", builder.condition_preview, name="condition_preview"),
    path("segments/<int:pk>/", segments.segment_detail, name="segment_detail"),
    path("segments/<int:pk>/edit/", segments.segment_edit, name="segment_edit"),
    path("segments/<int:pk>/why/<int:contact_pk>/", segments.segment_why, name="segment_why"),
    re_path(r"^segments/(?P<pk>\d+)/(?P<act>rebuild|freeze|archive)/$", segments.segment_act, name="segment_act"),
    path("stages/<int:pk>/rule/", stages.stage_rule, name="stage_rule"),
    path("stages/<int:pk>/rule/apply/", stages.stage_rule_apply, name="stage_rule_apply"),
    path("rules/", rules.rule_list, name="rule_list"),
    path("rules/new/", rules.rule_edit, name="rule_new"),
    path("rules/<int:pk>/", rules.rule_detail, name="rule_detail"),
    path("rules/<int:pk>/edit/", rules.rule_edit, name="rule_edit"),
    path("rules/<int:pk>/why/<int:contact_pk>/", rules.rule_why, name="rule_why"),
    re_path(r"^rules/(?P<pk>\d+)/(?P<act>enable|disable)/$", rules.rule_act, name="rule_act"),
]
