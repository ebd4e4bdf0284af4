"""The product album (商品图册): an app's own products."""

import re

from simulator.api import paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.world.products import Product

DESCRIPTION_MOST, PRICE_MOST, IMAGES_MOST = 300, 5_000_000, 9
NUMBER = re.compile(r"[0-9A-Za-z]{1,128}")


def _own(call: Call) -> Product:
    """The product asked for. Raises WeComError 41075 (unknown, or another app's) or 41074 (deleted)."""
    row = call.corp.album.rows.get(call["product_id"])
    if row is None or row.by != call.kind:
        raise WeComError(41075)
    if row.deleted:
        raise WeComError(41074)
    return row


def _check(call: Call) -> None:
    """What is given must be right. Raises WeComError 41086, 41085, 41064, 41065 or 40007."""
    if call["price"] is not None and not 0 <= call["price"] <= PRICE_MOST:
        raise WeComError(41086)
    if call["product_sn"] and not NUMBER.fullmatch(call["product_sn"]):
        raise WeComError(41085)
    if len(call["attachments"] or ()) > IMAGES_MOST:
        raise WeComError(41064)
    for item in call["attachments"] or ():
        image = item.get("image")
        if item.get("type") != "image" or not isinstance(image, dict):
            raise WeComError(41065)
        media = call.corp.media.find(str(image.get("media_id") or ""), wall())
        if media is None or (media.kind, media.use) != ("image", "product"):
            raise WeComError(40007)


def _kept(given: list[dict]) -> list[dict]:
    return [{"type": "image", "image": {"media_id": item["image"]["media_id"]}} for item in given]


def _shown(row: Product) -> dict:
    return {
        "product_id": row.product_id,
        "description": row.description,
        "price": row.price,
        "product_sn": row.product_sn,
        "attachments": row.attachments,
    }


@endpoint(
    "externalcontact/add_product_album",
    Field("description", missing=41073, most=DESCRIPTION_MOST, over=41087),
    Field("price", int, missing=41086),
    Field("product_sn", default=""),
    Field("attachments", list, missing=41088, items=dict),
)
def add_product(call: Call) -> dict:
    """A product with one to nine pictures of upload_attachment type 2."""
    _check(call)
    kept = _kept(call["attachments"])
    row = call.corp.album.add(call["description"], call["price"], call["product_sn"], kept, call.now, call.kind)
    return {"product_id": row.product_id}


@endpoint("externalcontact/get_product_album", Field("product_id", missing=41075))
def get_product(call: Call) -> dict:
    """One product, with the time it was made."""
    row = _own(call)
    return {"product": _shown(row) | {"create_time": row.create_time}}


@endpoint(
    "externalcontact/get_product_album_list",
    Field("limit", int, default=50, least=1, most=100, clamp=True),
    Field("cursor"),
)
def list_products(call: Call) -> dict:
    """The app's products, oldest first."""
    rows = [row for row in call.corp.album.rows.values() if not row.deleted and row.by == call.kind]
    page, cursor = paging.page(rows, call["cursor"], call["limit"], ["album", call.kind])
    return {"product_list": [_shown(row) for row in page], "next_cursor": cursor}


@endpoint(
    "externalcontact/update_product_album",
    Field("product_id", missing=41075),
    Field("description", most=DESCRIPTION_MOST, over=41087),
    Field("price", int),
    Field("product_sn"),
    Field("attachments", list, items=dict),
)
def update_product(call: Call) -> dict:
    """Change what is given."""
    row = _own(call)
    if call["attachments"] == []:
        raise WeComError(41088)
    _check(call)
    row.description = call["description"] or row.description
    row.price = row.price if call["price"] is None else call["price"]
    row.product_sn = row.product_sn if call["product_sn"] is None else call["product_sn"]
    row.attachments = row.attachments if call["attachments"] is None else _kept(call["attachments"])
    return {}


@endpoint("externalcontact/delete_product_album", Field("product_id", missing=41075))
def delete_product(call: Call) -> dict:
    """Gone; asking for it says so (41074)."""
    _own(call).deleted = True
    return {}
