"""Map coordinates, against points published with the well-known implementations, and there and back again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.lib.coordinates import SYSTEMS, from_gcj02, is_moved, to_gcj02
from tests.support.fuzzing import often

METRE = 1e-5  # degrees, about
# (WGS-84, GCJ-02) of eviltransform's tests (Shanghai, Shenzhen, Beijing) and of coordtransform's README.
PUBLISHED = (
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
    ((39.915, 116.404), (39.91640428150164, 116.41024449916938)),
)


@pytest.mark.parametrize(("wgs84", "gcj02"), PUBLISHED)
def test_points_are_moved_as_published(wgs84, gcj02):
    assert to_gcj02(*wgs84, "wgs84") == pytest.approx(gcj02, abs=1e-9)
    assert from_gcj02(*gcj02, "wgs84") == pytest.approx(wgs84, abs=1e-8)


def test_baidus_points_are_moved_as_published():
    assert from_gcj02(39.915, 116.404, "bd09") == pytest.approx((39.92133699351021, 116.41036949371029), abs=1e-9)
    # The published inverse is an approximation, good to a metre; ours comes back to where it started.
    assert to_gcj02(39.915, 116.404, "bd09") == pytest.approx((39.90865673957631, 116.39762729119315), abs=METRE)
    assert to_gcj02(39.92133699351021, 116.41036949371029, "bd09") == pytest.approx((39.915, 116.404), abs=1e-8)


@settings(max_examples=often(100), deadline=None)
@given(st.floats(18, 53), st.floats(74, 134), st.sampled_from(SYSTEMS))
def test_there_and_back_is_where_it_began(latitude, longitude, system):
    there = to_gcj02(latitude, longitude, system)
    assert from_gcj02(*there, system) == pytest.approx((latitude, longitude), abs=1e-8)


def test_outside_china_gps_points_stay_and_an_unknown_system_is_no_guess():
    assert not is_moved(48.8566, 2.3522) and to_gcj02(48.8566, 2.3522, "wgs84") == (48.8566, 2.3522)
    with pytest.raises(KeyError):
        to_gcj02(31.2, 121.4, "mercator")
