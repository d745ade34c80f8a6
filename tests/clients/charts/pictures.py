"""What stands in an SVG: its texts with their boxes, as the shipped fonts draw them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from tests.clients.charts.fonts import width

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Text:
    """A text that is drawn; its box is None where a character is of another font."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    kind: str
    known: bool

    def overlaps(self, other: Text, slack: float = 1.0) -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > slack and down > slack


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[Text]:
    return list(_texts(parsed(svg), "", 12))


def _texts(element: ElementTree.Element, kind: str, size: float) -> Iterator[Text]:
    kind = element.get("class", kind)
    size = float(element.get("font-size", size))
    if element.tag == f"{SVG}text":
        title = element.find(f"{SVG}title")
        text = (element.text or "") if title is None else (title.tail or "")
        yield _placed(element, text, kind, size)
    for child in element:
        yield from _texts(child, kind, size)


def _placed(element: ElementTree.Element, text: str, kind: str, size: float) -> Text:
    x, y = float(element.get("x", "0")), float(element.get("y", "0"))
    measured = width(text, size, element.get("font-weight") == "600")
    wide = measured or 0.0
    left = x - {"middle": wide / 2, "end": wide}.get(element.get("text-anchor", "start"), 0)
    # capitals reach 0.73 of the size above the line
    return Text(text, left, left + wide, y - 0.73 * size, y, kind, measured is not None)
