"""Pages of tags, segments and rules."""

from django.urls import path, re_path

from tagging.views import builder, bulk, dictionary, filtering, merging, rfm, rules, segments, stages, tags

app_name = "tagging"
urlpatterns = [
    path("tags/", dictionary.tag_list, name="tag_list"),
    path("tags/groups/", dictionary.group_create, name="group_create"),
    path("tags/groups/<int:pk>/", dictionary.group_edit, name="group_edit"),
    path("tags/groups/<int:pk>/tags/", dictionary.tag_create, name="tag_create"),
    path("tags/groups/<int:pk>/order/", dictionary.group_order, name="group_order"),
    path("tags/groups/<int:pk>/delete/", dictionary.group_delete, name="group_delete"),
    path("tags/groups/<int:pk>/conflicts/", dictionary.group_conflicts, name="group_conflicts"),
    path("tags/groups/<int:pk>/conflicts/latest/", dictionary.group_keep_latest, name="group_keep_latest"),
    path("tags/merges/", merging.merge_list, name="merge_list"),
    path("tags/merges/<int:pk>/", merging.tag_merge, name="tag_merge"),
    path("tags/merges/<int:pk>/status/", merging.merge_status, name="merge_status"),
    path("tags/merges/<int:pk>/undo/", merging.merge_undo, name="merge_undo"),
    path("tags/merges/<int:pk>/delete-old/", merging.merge_delete_old, name="merge_delete_old"),
    path("tags/<int:pk>/merge/", merging.merge_tag, name="merge_tag"),
    path("tags/<int:pk>/", dictionary.tag_detail, name="tag_detail"),
    path("tags/<int:pk>/describe/", dictionary.tag_describe, name="tag_describe"),
    path("tags/<int:pk>/rename/", dictionary.tag_rename, name="tag_rename"),
    path("tags/<int:pk>/order/", dictionary.tag_order, name="tag_order"),
    path("tags/<int:pk>/delete/", dictionary.tag_delete, name="tag_delete"),
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
