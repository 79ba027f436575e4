"""Plots are well-formed, escaped, and hold what they were given."""

import xml.etree.ElementTree as ET

import numpy as np

from soul.training.plots import curves, histogram, pairs


def parts(svg: str, tag: str) -> list[ET.Element]:
    return [node for node in ET.fromstring(svg).iter() if node.tag == tag]


def said(svg: str) -> list[str | None]:
    return [node.text for node in parts(svg, "text")]


def test_curves_hold_every_frame_and_shade_silence() -> None:
    line = np.linspace(0, 1, 50)
    silent = np.zeros(50, np.bool_)
    silent[10:20] = silent[40:] = True
    svg = curves("a <label>", {"truth": line, "model": line[::-1]}, silent, (5, 70))
    lines = {node.get("class"): node.get("points", "") for node in parts(svg, "polyline")}
    assert lines.keys() == {"line truth", "line model"}
    points = [tuple(map(float, point.split(","))) for point in lines["line truth"].split()]
    assert len(points) == 50
    assert points[0][1] > points[-1][1]  # y points down: what opens goes up
    assert len([node for node in parts(svg, "rect") if node.get("class") == "band"]) == 2
    assert len([node for node in parts(svg, "path") if node.get("class") == "tick"]) == 1
    assert ET.fromstring(svg).get("aria-label") == "a <label>"
    assert "1 s" in said(svg)


def test_a_histogram_has_a_column_for_every_lag_around_zero() -> None:
    svg = histogram("lags", {2: 4, 3: 1})
    columns = parts(svg, "rect")
    assert len(columns) == 10  # -3 .. 6
    tall = {node.get("class"): float(node.get("height", "0")) for node in columns}
    assert tall["column zero"] == 0.0
    assert {"−3", "0", "+2", "+3", "4", "1"} <= set(said(svg))


def test_pairs_start_at_a_common_zero_and_tell_what_is_missing() -> None:
    svg = pairs("pairs", [("a & b", 0.5, -0.25), ("c", None, 1.0)], " %", 0.75)
    boxes = [(float(n.get("x", "0")), float(n.get("width", "0"))) for n in parts(svg, "rect")]
    assert len(boxes) == 3
    zero = boxes[0][0]
    assert boxes[1][0] + boxes[1][1] - zero < 0.2
    assert boxes[0][1] / boxes[2][1] == 0.5 or abs(boxes[0][1] / boxes[2][1] - 0.5) < 0.01
    assert {"a & b", "0.50 %", "−0.25 %", "not in these takes"} <= set(said(svg))
    assert len([node for node in parts(svg, "path") if node.get("class") == "limit"]) == 1


def test_what_0_and_1_are_called_and_a_limit_below_zero_are_drawn() -> None:
    line = np.linspace(0.0, 1.0, 50)
    assert {"open", "shut"} <= set(said(curves("a", {"model": line})))
    assert {"there", "as before"} <= set(
        said(curves("a", {"model": line}, ends=("as before", "there")))
    )
    (limit,) = (
        node
        for node in parts(pairs("lips", [("happy", -0.5, 0.0)], limit=-2.0), "path")
        if node.get("class") == "limit"
    )
    assert float(limit.get("d", "").split(" ")[0][1:]) == 270.0  # where the field begins
