"""Products: known by their codes, made by the first order that names them, and in which category they are."""

from collections.abc import Iterable

from django.db import connection

from commerce.models import Order, OrderLine, Product
from commerce.services.rows import LineRow
from contacts import marks
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows

CATEGORY_MARK = "order.category"  # the mark of people whose products changed their category


def products_of(lines: Iterable[LineRow]) -> dict[str, int]:
    """Product code → id. A code seen for the first time becomes a product under its line's name; a line that tells a category
    puts its product there, the last of several wins. Whoever bought a product that moves is marked. Up to four statements.
    """
    told = [line for line in lines if line.product_code]
    if not told:
        return {}
    names = {line.product_code: line.name for line in told}
    categories = {line.product_code: clean_text(line.category, 60) for line in told if line.category}
    known = {
        code: (pk, old)
        for pk, code, old in Product.objects.filter(code__in=names).values_list("pk", "code", "category")
    }
    found = {code: pk for code, (pk, _old) in known.items()}
    moved = {
        found[code]: category for code, category in categories.items() if code in known and known[code][1] != category
    }
    _move(moved)
    rows = [
        {"code": code, "name": clean_text(names[code], 120), "category": categories.get(code, ""), "is_active": True}
        for code in sorted(set(names) - set(found))
    ]
    return found | {code: pk for pk, code in insert_rows(Product, rows, returning=("id", "code"))}


def _move(moved: dict[int, str]) -> None:
    if not moved:
        return
    update_rows(Product, [{"id": pk, "category": category} for pk, category in sorted(moved.items())])
    lines, orders = (connection.ops.quote_name(model._meta.db_table) for model in (OrderLine, Order))
    marks.mark_selected(
        f"SELECT DISTINCT bought.contact_id, %s FROM {lines} AS line JOIN {orders} AS bought ON bought.id = line.order_id"
        " WHERE line.product_id = ANY(%s) AND bought.contact_id IS NOT NULL",
        [CATEGORY_MARK, sorted(moved)],
    )
