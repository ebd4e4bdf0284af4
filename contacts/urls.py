from django.urls import path

from contacts.views import exports, groups, org, people, person

app_name = "contacts"
urlpatterns = [
    path("contacts/", people.contact_list, name="contact_list"),
    path("contacts/bulk/", people.bulk, name="bulk"),
    path("contacts/export/", people.export, name="export_start"),
    path("contacts/exports/<int:pk>/", exports.export_page, name="export"),
    path("contacts/exports/<int:pk>/status/", exports.export_status, name="export_status"),
    path("contacts/exports/<int:pk>/file/", exports.export_file, name="export_file"),
    path("contacts/<int:pk>/", person.contact_page, name="contact"),
    path("contacts/<int:pk>/timeline/", person.contact_timeline, name="contact_timeline"),
    path("contacts/<int:pk>/stage/", person.change_contact_stage, name="contact_stage"),
    path("contacts/<int:pk>/owner/", person.change_contact_owner, name="contact_owner"),
    path("contacts/<int:pk>/opt-out/", person.change_opt_out, name="contact_opt_out"),
    path("contacts/<int:pk>/unmask/", person.unmask_phones, name="contact_unmask"),
    path("m/customers/", people.phone_list, name="phone_list"),
    path("groups/", groups.group_list, name="group_list"),
    path("groups/<int:pk>/", groups.group_page, name="group"),
    path("org/", org.store_list, name="store_list"),
    path("org/stores/new/", org.store_new, name="store_new"),
    path("org/stores/<int:pk>/", org.store_edit, name="store_edit"),
    path("org/regions/", org.region_list, name="region_list"),
    path("org/regions/new/", org.region_new, name="region_new"),
    path("org/regions/<int:pk>/", org.region_edit, name="region_edit"),
    path("org/dealers/", org.dealer_list, name="dealer_list"),
    path("org/dealers/new/", org.dealer_new, name="dealer_new"),
    path("org/dealers/<int:pk>/", org.dealer_edit, name="dealer_edit"),
    path("org/departments/", org.department_map, name="department_map"),
    path("org/members/", org.member_list, name="member_list"),
    path("org/members/<int:pk>/", org.member_page, name="member"),
    path("org/members/<int:pk>/store/", org.member_move, name="member_move"),
    path("org/members/<int:pk>/account/", org.member_link, name="member_link"),
]
