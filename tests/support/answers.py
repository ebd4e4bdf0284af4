"""WeCom's answers as they should never be: every place of one absent, null, of another type, huge or in another tongue."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

HARD = ["", "0", "-1", "٣", "²", "9" * 5000, "小" * 3000, "a\x00b", "\ud83d", "1e309", "مرحبا", "🌸小满",
        2**31, 2**63, -(2**63), 2**80, 1e308]  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20),
    st.sampled_from(HARD),
)  # fmt: skip


def odd(names: Sequence[str] | None = None) -> st.SearchStrategy[Any]:
    """Anything JSON can say; with names, objects within use these."""
    keys = st.sampled_from(sorted(names)) if names else st.text(max_size=8)
    return st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6), max_leaves=8
    )


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within an answer."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in [(*at, key), *places(one, (*at, key))]]


def changed(value: Any, place: tuple[Any, ...], put: Any) -> Any:
    """A copy with something else, or nothing (`...`), in one place."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    key, *rest = place
    if rest:
        copy[key] = changed(copy[key], tuple(rest), put)
    elif put is ...:
        del copy[key]
    else:
        copy[key] = put
    return copy
