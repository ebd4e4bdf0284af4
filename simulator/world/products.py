"""The product album (商品图册). Deleted products stay known, as WeCom answers for them with a code of their own."""

from dataclasses import dataclass

from simulator.world.ids import digest_text


@dataclass
class Product:
    """A product; `price` in fen, `by` the secret that made it."""

    product_id: str
    description: str
    price: int
    product_sn: str
    attachments: list[dict]
    create_time: int
    by: str
    deleted: bool = False


class ProductAlbum:
    """All products of a corp, oldest first."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.rows: dict[str, Product] = {}

    def add(self, description: str, price: int, sn: str, attachments: list[dict], now: int, by: str) -> Product:
        """A new product; the caller has checked its parts."""
        product_id = digest_text(self._key, "product", len(self.rows), length=32)
        row = self.rows[product_id] = Product(product_id, description, price, sn, attachments, now, by)
        return row
