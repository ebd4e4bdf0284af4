"""The product album (商品图册)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """price in fen; images: media_id, or pic_url where WeCom gives that. create_time is told by `get` alone."""

    product_id: str
    description: str = ""
    price: int = 0
    product_sn: str = ""
    create_time: int = 0
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProductPage:
    """next_cursor is empty on the last page."""

    product_list: tuple[Product, ...]
    next_cursor: str = ""


@dataclass(frozen=True)
class ProductMade:
    product_id: str
