"""群标签: sets, the dictionary, and a tag on many groups at once."""

import pytest
from django.test import Client

from contacts.models import GroupTag, GroupTagging, GroupTagSet
from contacts.services import grouptags
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support.contacts import make_group, make_store
from tests.support.core import log_in, make_user

pytestmark = pytest.mark.django_db


def test_a_set_is_made_filled_renamed_and_deleted_and_its_tags_stay_on_groups(acme_client: Client) -> None:
    group = make_group("静安一群")
    grouptags.add_tag(group, "街边店", by=SYSTEM)
    made = acme_client.post("/groups/tags/sets/", {"name": "门店类型", "tags": "街边店\n\n 商场店 \n街边店"})
    assert made.status_code == 302
    tag_set = GroupTagSet.objects.get()
    assert set(tag_set.tags.values_list("name", flat=True)) == {"街边店", "商场店"}
    acme_client.post(f"/groups/tags/sets/{tag_set.pk}/add/", {"tags": "机场店"})
    acme_client.post(f"/groups/tags/sets/{tag_set.pk}/rename/", {"name": "店型"})
    page = acme_client.get("/groups/tags/").content.decode()
    assert "店型" in page and "机场店" in page and "1 个群" in page
    acme_client.post(f"/groups/tags/sets/{tag_set.pk}/delete/")
    assert not GroupTagSet.objects.exists()
    assert "未分组" in acme_client.get("/groups/tags/").content.decode()
    assert [tag.name for tag in group.tags.all()] == ["街边店"]


def test_a_tag_is_renamed_on_every_group_and_deleted_from_every_group(acme_client: Client) -> None:
    groups = [make_group("一群"), make_group("二群")]
    for group in groups:
        tag = grouptags.add_tag(group, "活动", by=SYSTEM)
    acme_client.post(f"/groups/tags/{tag.pk}/rename/", {"name": "双十一"})
    assert [one.name for group in groups for one in group.tags.all()] == ["双十一", "双十一"]
    acme_client.post(f"/groups/tags/{tag.pk}/delete/")
    assert not GroupTag.objects.exists() and not GroupTagging.objects.exists()


def test_ticked_groups_of_her_scope_get_the_tag_and_lose_it(acme_client: Client) -> None:
    hers = make_store()
    mine, other = make_group("她的群", store=hers), make_group("别店的群", store=make_store())
    tag = grouptags.create_set("活动", ["双十一"], by=SYSTEM).tags.get()
    client = log_in(make_user("store", hers))
    ticked = {"group": [mine.pk, other.pk], "tag": tag.pk}
    assert client.post("/groups/tags/bulk/", {**ticked, "act": "add"}).status_code == 302
    assert [row.group for row in GroupTagging.objects.all()] == [mine]
    client.post("/groups/tags/bulk/", {**ticked, "act": "remove"})
    assert not GroupTagging.objects.exists()
    assert client.post("/groups/tags/bulk/", {"tag": tag.pk}).status_code == 422


def test_the_dictionary_belongs_to_all_so_a_store_does_not_change_it(acme_client: Client) -> None:
    tag = grouptags.create_set("活动", ["双十一"], by=SYSTEM).tags.get()
    client = log_in(make_user("store", make_store()))
    assert "新建群标签组" not in client.get("/groups/tags/").content.decode()
    refused = client.post(f"/groups/tags/{tag.pk}/delete/")
    assert refused.status_code == 403 and "全商户共用" in refused.content.decode()
    assert GroupTag.objects.filter(pk=tag.pk).exists()


@pytest.mark.parametrize("name", ["", "  ", "字" * 31])
def test_a_name_that_cannot_be_says_so(db: None, name: str) -> None:
    with pytest.raises(UserError, match="1 到 30"):
        grouptags.create_set(name, [], by=SYSTEM)


def test_names_are_unique_and_limits_are_told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grouptags.create_set("活动", ["双十一"], by=SYSTEM)
    with pytest.raises(UserError, match="已有群标签组"):
        grouptags.create_set("活动", [], by=SYSTEM)
    second = grouptags.create_set("门店", [], by=SYSTEM)
    with pytest.raises(UserError, match="已在「活动」组里"):
        grouptags.add_to_set(second, ["双十一"], by=SYSTEM)
    with pytest.raises(UserError, match="换一个名字"):
        grouptags.rename_set(second, "活动", by=SYSTEM)
    other = grouptags.add_tag(make_group(), "其他", by=SYSTEM)
    with pytest.raises(UserError, match="换一个名字"):
        grouptags.rename_tag(other, "双十一", by=SYSTEM)
    monkeypatch.setattr(grouptags, "MAX_TAGS", 2)
    with pytest.raises(UserError, match="最多 2 个"):
        grouptags.add_to_set(first, ["第三个"], by=SYSTEM)
    monkeypatch.setattr(grouptags, "MAX_PER_GROUP", 1)
    group = other.groups.get()
    with pytest.raises(UserError, match="一个群最多 1 个标签"):
        grouptags.put_on([group], first.tags.get(), by=SYSTEM)
    assert [tag.name for tag in group.tags.all()] == ["其他"]
