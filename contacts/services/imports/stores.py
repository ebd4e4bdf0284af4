"""门店: by their code. A new code is a new store; an archived store in the file comes back into use."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from django.db.models import Field
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Dealer, ImportRow, Region, Store
from contacts.services import archiving
from contacts.services.imports import cells
from contacts.services.imports.registry import BadCell, Column, Kind, Slice
from contacts.services.imports.rows import (
    SLICE,
    Verdict,
    as_json,
    attempt,
    attempt_return,
    differing,
    save,
    to_do,
    write_verdicts,
)
from contacts.services.organisation import save_store
from scrm.lib.coordinates import to_gcj02
from scrm.lib.db.bulk import clean_text, lock_rows
from tenants.audit import Actor

_PLACE = ("latitude", "longitude", "coord_source")
_DEGREE = Decimal("0.000001")
_SYSTEMS = {"gcj02": "gcj02", "gcj-02": "gcj02", "火星": "gcj02", "高德": "gcj02", "腾讯": "gcj02", "wgs84": "wgs84", "wgs-84": "wgs84",
            "gps": "wgs84", "bd09": "bd09", "bd-09": "bd09", "百度": "bd09"}  # fmt: skip
_OPEN = {"营业": True, "营业中": True, "开业": True, "是": True, "1": True, "open": True, "yes": True,
         "关店": False, "闭店": False, "停业": False, "暂停营业": False, "否": False, "0": False, "closed": False, "no": False}  # fmt: skip


def columns(heads: Sequence[str]) -> list[Column]:
    """What a file may say of stores."""
    return [
        Column("code", (_("门店编码"), "编码", "店号", "code"), lambda: _code, is_key=True, sample="S001"),
        Column("name", (_("门店名"), "门店名称", "门店", "name"), cells.text(60, _("门店名")), sample="静安寺店"),
        Column("region_id", (_("大区"), "区域", "region"), cells.choice(_("大区"), _regions, _("请先在组织里新增"))),
        Column("dealer_id", (_("经销商"), "加盟商", "经销商/加盟商", "dealer"), cells.choice(_("经销商"), _dealers, _("请先在组织里新增"))),
        Column("city", (_("城市"), "city"), cells.text(30, _("城市")), sample="上海"),
        Column("address", (_("地址"), "详细地址", "address"), cells.text(200, _("地址"))),
        Column("store_phone", (_("电话"), "门店电话", "tel"), cells.text(30, _("电话"))),
        Column("latitude", (_("纬度"), "lat", "latitude"), lambda: _degrees(_("纬度"), 90)),
        Column("longitude", (_("经度"), "lng", "lon", "longitude"), lambda: _degrees(_("经度"), 180)),
        Column("coord_source", (_("坐标系"), "coord"), cells.choice(_("坐标系"), lambda: _SYSTEMS, "GCJ-02 / WGS-84 / BD-09")),
        Column("is_open", (_("营业状态"), "状态", "营业中"), cells.choice(_("营业状态"), lambda: _OPEN, _("请写营业中或关店"))),
        Column("opened_on", (_("开店日期"), "开业日期"), cells.day(_("开店日期"))),
        Column("closed_on", (_("关店日期"), "闭店日期"), cells.day(_("关店日期"))),
    ]  # fmt: skip


def _code(value: Any) -> str:
    text = clean_text(str(value))
    if len(text) > 32:
        raise BadCell(_("%(label)s超过 %(limit)d 个字") % {"label": _("门店编码"), "limit": 32})
    return text


def _degrees(label: str, most: int) -> Any:
    def read(value: Any) -> str:
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            found = Decimal("NaN")
        if not found.is_finite() or abs(found) > most:
            raise BadCell(_("%(label)s「%(value)s」不是有效的度数") % {"label": label, "value": str(value)[:20]})
        return str(found)

    return read


def _regions() -> dict[str, Any]:
    rows = Region.objects.filter(archived_at__isnull=True).values_list("pk", "name")
    return cells.by_name((pk, "", name) for pk, name in rows)


def _dealers() -> dict[str, Any]:
    rows = Dealer.objects.filter(archived_at__isnull=True).values_list("pk", "name")
    return cells.by_name((pk, "", name) for pk, name in rows)


class Stores:
    """The worker: writes by save_store, as the page does."""

    def lock(self, part: Slice) -> None:
        lock_rows(Store, part.rows().filter(target_id__isnull=False).values_list("target_id", flat=True))

    def judge(self, part: Slice) -> None:
        known = {store.code: store for store in Store.objects.filter(code__in=part.rows().values("key"))}
        write_verdicts(part, lambda row: _verdict(row, known.get(row.key)), _("与第 %(line)d 行是同一家门店"))

    def confirm(self, part: Slice) -> None:
        self.judge(part)

    def apply(self, part: Slice, *, by: Actor, now: datetime) -> None:
        known = Store.objects.in_bulk([row.target_id for row in to_do(part) if row.target_id])
        rows = to_do(part)
        for row in rows:
            store = known.get(row.target_id or 0) or Store(code=row.key)
            attempt(row, lambda store=store, row=row: _write(store, row.changes, 1, by))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        save(rows)

    def undo(self, part: Slice, *, by: Actor, now: datetime) -> None:
        rows = to_do(part)
        known = Store.objects.select_for_update(of=("self",)).in_bulk([row.target_id for row in rows])
        for row in rows:
            store = known.get(row.target_id or 0)
            attempt_return(row, lambda store=store, row=row: store is not None and _return(store, row, by))  # type: ignore[misc]  # see above
        save(rows)


def _verdict(row: ImportRow, store: Store | None) -> Verdict:
    wanted = {("phone" if name == "store_phone" else name): value for name, value in row.values.items()}
    if store is None and not wanted.get("name"):
        return Verdict(problem=_("新门店要写门店名"))
    if ("latitude" in wanted) != ("longitude" in wanted):
        return Verdict(problem=_("经度和纬度要一起写"))
    if "latitude" in wanted:
        wanted |= _moved(wanted)
    else:
        wanted.pop("coord_source", None)
    standing = {name: getattr(store, name) for name in wanted} if store else {}
    if store is not None and store.archived_at is not None:
        standing, wanted = standing | {"archived_at": store.archived_at}, wanted | {"archived_at": None}
    opened, closed = (wanted.get(name) or as_json(getattr(store, name, None)) for name in ("opened_on", "closed_on"))
    if opened and closed and closed < opened:
        return Verdict(problem=_("关店日期早于开店日期"))
    return Verdict(store.pk if store else None, differing(standing, wanted), is_new=store is None)


def _moved(wanted: dict[str, Any]) -> dict[str, Any]:
    """Coordinates as we keep them: GCJ-02, with the system they came in."""
    system = wanted.get("coord_source") or "gcj02"
    point = to_gcj02(float(wanted["latitude"]), float(wanted["longitude"]), system)
    latitude, longitude = (as_json(Decimal(repr(degrees)).quantize(_DEGREE)) for degrees in point)
    return {"latitude": latitude, "longitude": longitude, "coord_source": system}


def _write(store: Store, changes: dict[str, list[Any]], side: int, by: Actor) -> int:
    """Give the store the values of one side (0 before, 1 after) of the changes."""
    if "archived_at" in changes:
        (archiving.restore if side else archiving.archive)(store, by=by)
        store.refresh_from_db()
    for name, pair in changes.items():
        if name != "archived_at":
            setattr(store, name, _typed(name, pair[side]))
    if changes.keys() - {"archived_at"}:
        save_store(store, by=by)
    return store.pk


def _typed(name: str, value: Any) -> Any:
    """A value of a column as the model holds it; JSON has days and degrees as text."""
    return cast("Field[Any, Any]", Store._meta.get_field(name)).to_python(value)


def _return(store: Store, row: ImportRow, by: Actor) -> bool:
    """A store that came is put out of use, since facts may name it; one that was there gets back what is still as the file made it."""
    if row.outcome == "created":
        untouched = not differing(
            {name: getattr(store, name) for name in row.changes}, {n: p[1] for n, p in row.changes.items()}
        )
        if untouched:
            archiving.archive(store, by=by)
        return untouched
    still = {name: pair for name, pair in row.changes.items() if as_json(getattr(store, name)) == pair[1]}
    if still:
        _write(store, still, 0, by)
    return len(still) == len(row.changes)


KIND = Kind(
    "stores",
    gettext_lazy("门店"),
    gettext_lazy("按门店编码新增或更新门店。大区和经销商写名称,要先建好。文件里已归档的门店会恢复使用。"),
    "org.edit",
    columns,
    Stores(),
    order=20,
    slice_rows=SLICE,
)
