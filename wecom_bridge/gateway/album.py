"""The product album (customer-contact reference 10.1): products this app made."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.album import Product, ProductMade, ProductPage
from wecom_bridge.shapes.pieces import Row, integer, needed, part, rows, seconds, text

Answer = dict[str, Any]


class Album(Core):
    """商品图册."""

    def add_product_album(
        self, *, description: str, price: int, media_ids: list[str], product_sn: str | None = None
    ) -> ProductMade:
        """EC/add_product_album: description ≤ 300 characters (41087), price in fen ≤ 5,000,000 (41086), product_sn ≤ 128
        letters and digits (41085), 1 to 9 pictures of upload_attachment type 2 (41088, 40007) (10.1)."""
        given = {"description": description, "price": price, "product_sn": product_sn}
        body = given | {"attachments": _pictures(media_ids)}
        return self._ask("add_product_album", body, lambda answer: ProductMade(needed(answer, "product_id")))

    def get_product_album(self, *, product_id: str) -> Product:
        """EC/get_product_album; 41074 deleted, 41075 unknown (10.1)."""
        given = {"product_id": product_id}
        return self._ask("get_product_album", given, lambda answer: read_product(part(answer, "product")))

    def get_product_album_list(self, *, cursor: str = "", limit: int = 100) -> ProductPage:
        """EC/get_product_album_list: at most 100 a page, without create_time (10.1)."""
        return self._ask("get_product_album_list", {"cursor": cursor, "limit": limit}, read_page)

    def update_product_album(
        self,
        *,
        product_id: str,
        description: str | None = None,
        price: int | None = None,
        product_sn: str | None = None,
        media_ids: list[str] | None = None,
    ) -> Answer:
        """EC/update_product_album: what is None stays (10.1)."""
        given = {"product_id": product_id, "description": description, "price": price, "product_sn": product_sn}
        pictures = None if media_ids is None else _pictures(media_ids)
        return self._ask("update_product_album", given | {"attachments": pictures}, dict)

    def delete_product_album(self, *, product_id: str) -> Answer:
        """EC/delete_product_album (10.1)."""
        return self._ask("delete_product_album", {"product_id": product_id}, dict)


def _pictures(media_ids: list[str]) -> list[dict[str, Any]]:
    return [{"type": "image", "image": {"media_id": one}} for one in media_ids]


def read_page(answer: Row) -> ProductPage:
    products = tuple(read_product(row) for row in rows(answer, "product_list"))
    return ProductPage(products, text(answer, "next_cursor"))


def read_product(row: Row) -> Product:
    pictures = (part(item, "image") for item in rows(row, "attachments"))
    images = (text(picture, "media_id") or text(picture, "pic_url") for picture in pictures)
    return Product(
        product_id=needed(row, "product_id"),
        description=text(row, "description"),
        price=integer(row, "price"),
        product_sn=text(row, "product_sn"),
        create_time=seconds(row, "create_time"),
        images=tuple(one for one in images if one),
    )
