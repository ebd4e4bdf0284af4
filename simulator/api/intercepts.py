"""Interception rules (敏感词). `semantics_list` stands at the top on add, inside `extra_rule` afterwards."""

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.corp import CONTACT
from simulator.world.intercepts import InterceptRule

RULES_MOST, WORDS_MOST, WORD_MOST, NAME_MOST = 100, 300, 32, 20
RANGE_PART_MOST, RANGE_USERS_MOST = 1000, 10_000
SEMANTICS = (1, 2, 3)


def _rule(call: Call) -> InterceptRule:
    """The rule asked for. Raises WeComError 41070 (unknown), 41071 (deleted) or 60011 (another app's)."""
    row = call.corp.intercepts.rows.get(call["rule_id"])
    if row is None:
        raise WeComError(41070)
    if row.deleted:
        raise WeComError(41071)
    if call.kind not in (CONTACT, row.by):
        raise WeComError(60011)
    return row


def _words(given: list) -> list[str]:
    if len(given) > WORDS_MOST:
        raise WeComError(41068)
    if any(not isinstance(word, str) or not 0 < len(word) <= WORD_MOST for word in given):
        raise WeComError(41083)
    return list(dict.fromkeys(given))


def _semantics(given: object) -> list[int]:
    if not isinstance(given, list) or any(value not in SEMANTICS for value in given):
        raise WeComError(41084)
    return sorted(set(given))


def _range(call: Call, given: dict) -> tuple[list[str], list[int]]:
    """(userids, departments) of a range. Raises WeComError 41076, 40031 or 60123."""
    users, parties = given.get("user_list") or [], given.get("department_list") or []
    if not isinstance(users, list) or not isinstance(parties, list):
        raise WeComError(40058, "invalid Request Parameter, applicable_range")
    if len(users) > RANGE_PART_MOST or len(parties) > RANGE_PART_MOST:
        raise WeComError(41076)
    found = common.members(call, [str(userid) for userid in users])
    if any(type(party) is not int or party not in call.corp.directory.departments for party in parties):
        raise WeComError(60123)
    return list(dict.fromkeys(found)), list(dict.fromkeys(parties))


def _free_name(call: Call, name: str, besides: InterceptRule | None = None) -> None:
    if any(row.rule_name == name and row is not besides for row in call.corp.intercepts.living()):
        raise WeComError(41077)


@endpoint(
    "externalcontact/add_intercept_rule",
    Field("rule_name", missing=40058, most=NAME_MOST),
    Field("word_list", list, missing=40058),
    Field("semantics_list", list, default=[]),
    Field("intercept_type", int, missing=40058, least=1, most=2),
    Field("applicable_range", dict, missing=40058),
)
def add_rule(call: Call) -> dict:
    """A rule for members and departments together, at least one of them."""
    words, semantics = _words(call["word_list"]), _semantics(call["semantics_list"])
    users, parties = _range(call, call["applicable_range"])
    if not users and not parties:
        raise WeComError(40058, "invalid Request Parameter, applicable_range")
    _free_name(call, call["rule_name"])
    if len(call.corp.intercepts.living()) >= RULES_MOST:
        raise WeComError(41069)
    row = call.corp.intercepts.add(call["rule_name"], call["intercept_type"], call.now, call.kind)
    row.words, row.semantics, row.users, row.departments = words, semantics, users, parties
    return {"rule_id": row.rule_id}


@endpoint("externalcontact/get_intercept_rule_list", method="GET")
def list_rules(call: Call) -> dict:
    """Ids, names and times of the rules this secret may see."""
    rows = [row for row in call.corp.intercepts.living() if call.kind in (CONTACT, row.by)]
    names = ("rule_id", "rule_name", "create_time")
    return {"rule_list": [{name: getattr(row, name) for name in names} for row in rows]}


@endpoint("externalcontact/get_intercept_rule", Field("rule_id", missing=41070))
def get_rule(call: Call) -> dict:
    """One rule in full."""
    row = _rule(call)
    rule = {
        "rule_id": row.rule_id,
        "rule_name": row.rule_name,
        "word_list": row.words,
        "extra_rule": {"semantics_list": row.semantics},
        "intercept_type": row.kind,
        "applicable_range": {"user_list": row.users, "department_list": row.departments},
    }
    return {"rule": rule}


@endpoint(
    "externalcontact/update_intercept_rule",
    Field("rule_id", missing=41070),
    Field("rule_name", most=NAME_MOST),
    Field("word_list", list),
    Field("extra_rule", dict),
    Field("intercept_type", int, least=1, most=2),
    Field("add_applicable_range", dict, default={}),
    Field("remove_applicable_range", dict, default={}),
)
def update_rule(call: Call) -> dict:
    """Change what is given; the range by what is added and removed."""
    row = _rule(call)
    words = row.words if call["word_list"] is None else _words(call["word_list"])
    extra = call["extra_rule"] or {}
    semantics = _semantics(extra["semantics_list"]) if "semantics_list" in extra else row.semantics
    more, less = _range(call, call["add_applicable_range"]), _range(call, call["remove_applicable_range"])
    users = [u for u in dict.fromkeys([*row.users, *more[0]]) if u not in less[0]]
    parties = [p for p in dict.fromkeys([*row.departments, *more[1]]) if p not in less[1]]
    if len(users) > RANGE_USERS_MOST or not (users or parties):
        raise WeComError(41076)
    if call["rule_name"]:
        _free_name(call, call["rule_name"], besides=row)
    row.rule_name, row.kind = call["rule_name"] or row.rule_name, call["intercept_type"] or row.kind
    row.words, row.semantics, row.users, row.departments = words, semantics, users, parties
    return {}


@endpoint("externalcontact/del_intercept_rule", Field("rule_id", missing=41070))
def delete_rule(call: Call) -> dict:
    """Gone; asking for it says so (41071)."""
    _rule(call).deleted = True
    return {}
