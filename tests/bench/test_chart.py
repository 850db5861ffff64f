"""The picture of how cost grows."""

import re
from xml.etree import ElementTree

from bench.chart import Line, Panel, draw

PANEL = Panel("a <title>", "viewers", [Line("ours", [(10, 1.0), (100, 10.0), (1000, 100.0)]), Line("C", [(10, 2.0)])])


def test_the_picture_is_well_formed_and_names_what_it_shows() -> None:
    texts = [element.text for element in ElementTree.fromstring(draw([PANEL])).iter() if element.tag.endswith("text")]
    assert {"a <title>", "viewers", "ours", "C", "10", "1k"} <= set(texts)


def test_equal_factors_are_equal_distances() -> None:
    places = re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)"', draw([PANEL]))[:3]
    (x1, y1), (x2, y2), (x3, y3) = [(float(x), float(y)) for x, y in places]
    assert abs((x2 - x1) - (x3 - x2)) < 0.2
    assert abs((y1 - y2) - (y2 - y3)) < 0.2
    assert x1 < x2 and y1 > y2


def test_a_value_that_is_no_power_of_ten_lies_between_the_lines() -> None:
    panel = Panel("", "", [Line("ours", [(20, 3.0), (30, 3.5)]), Line("C", [(25, 4.0)])])
    for x, y in re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)"', draw([panel])):
        assert 44 <= float(x) <= 308
        assert 34 <= float(y) <= 188
