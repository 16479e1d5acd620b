"""An artifact's lineage as a picture: everything that it was made from, from top to bottom, as an SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from lrat_hub.hub.lineage import Ancestor, Lineage, trace_inputs
from lrat_hub.hub.refs import HubRef, RepoType

PICTURE_FILE = "lineage.svg"

# In pixels. A name of 26 letters fits into a box, and three boxes side by side into a card.
WIDTH, HEIGHT = 216, 46
LAYER, GAP, LANE, MARGIN = HEIGHT + 40, 16, 12, 12
LETTERS = 26

_Item = tuple[str, int]
"""A place in a layer: that of the box with this key in its own layer, and below it that of a line on its way."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.made { font-size: 11px; fill: #59636e }
rect { fill: #f6f8fa; stroke: #818b98 }
.dataset { stroke: #bf3989 }
.model { stroke: #0969da }
.outside { stroke-dasharray: 4 }
.this { stroke-width: 2.5 }
path { fill: none; stroke: #818b98 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .made { fill: #9198a1 }
  rect { fill: #151b23 }
  .dataset { stroke: #f778ba }
  .model { stroke: #4493f8 }
}
"""


@dataclass(frozen=True)
class _Box:
    name: str
    made: str
    kind: str


def draw_lineage(lineage: Lineage, kind: RepoType) -> str:
    """The picture of what is about to be published with this lineage, as SVG.

    An input whose own lineage can't be read ends its branch. It doesn't say where the artifact is, so that what is
    made again has the same.
    """
    boxes = {"": _Box(f"this {kind}", f"lrat {lineage.stage}", kind)}
    keys: dict[tuple[str, ...], str] = {(): ""}
    inputs: dict[str, list[str]] = {}
    for ancestor in trace_inputs(lineage):
        key = _key(ancestor)
        keys[ancestor.path] = key
        boxes.setdefault(key, _box(ancestor))
        of = inputs.setdefault(keys[ancestor.path[:-1]], [])
        if key not in of:
            of.append(key)
    return _svg(boxes, inputs)


def _key(ancestor: Ancestor) -> str:
    source = ancestor.source
    return f"{source.repo_type} {source.repo_id}@{source.revision}" if isinstance(source, HubRef) else source


def _box(ancestor: Ancestor) -> _Box:
    source = ancestor.source
    if not isinstance(source, HubRef):
        # What stands in brackets is a hash, or an address: the list above the picture has it.
        return _Box(source.partition(" (")[0], "from outside", "outside")
    made = f"lrat {ancestor.lineage.stage}" if ancestor.lineage is not None else "from outside"
    return _Box(source.repo_id, f"{made} · {source.revision[:7]}", source.repo_type)


def _layers(boxes: Iterable[str], inputs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How far each box stands above the artifact: what is made stands below all that it was made from."""
    layer = dict.fromkeys(boxes, 0)
    waiting = [""]
    while waiting:
        made = waiting.pop()
        for key in inputs.get(made, ()):
            # A lineage that somebody wrote by hand could lead back to itself.
            if layer[key] <= layer[made] < len(layer):
                layer[key] = layer[made] + 1
                waiting.append(key)
    return layer


def _svg(boxes: Mapping[str, _Box], inputs: Mapping[str, Sequence[str]]) -> str:
    layer = _layers(boxes, inputs)
    below: dict[_Item, list[_Item]] = {(key, number): [] for key, number in layer.items()}
    for made, keys in inputs.items():
        for key in keys:
            # A line that passes layers has a place in each, so that no box covers it; lines of one box share them.
            for number in range(layer[key], layer[made], -1):
                end = (key, number - 1) if number - 1 > layer[made] else (made, layer[made])
                if end not in below.setdefault((key, number), []):
                    below[key, number].append(end)
    middle: dict[_Item, float] = {}
    for number in range(max(layer.values()) + 1):
        items = [item for item in below if item[1] == number]
        items.sort(key=lambda item: fmean([middle[end] for end in below[item]] or [0]))
        widths = [WIDTH if layer[key] == number else LANE for key, _ in items]
        x = -(sum(widths) + GAP * (len(items) - 1)) / 2
        for item, width in zip(items, widths, strict=True):
            middle[item] = x + width / 2
            x += width + GAP
    left = min(middle[key, number] for key, number in layer.items()) - WIDTH / 2 - MARGIN
    width = max(middle.values()) - left + WIDTH / 2 + MARGIN
    top = {number: MARGIN + (max(layer.values()) - number) * LAYER for number in range(-1, len(layer) + 1)}
    height = top[0] + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" role="img" '
        f'viewBox="0 0 {width:g} {height}">',
        f"<title>What {boxes[''].name} was made from</title><style>{_STYLE}</style>",
    ]
    for item, ends in below.items():
        for end in ends:
            x, to, y, down = middle[item] - left, middle[end] - left, top[item[1]] + HEIGHT, top[end[1]]
            through = f"M{x:g} {y}" if layer[item[0]] == item[1] else f"M{x:g} {y - HEIGHT}V{y}"
            lines.append(f'<path d="{through}C{x:g} {y + 24} {to:g} {down - 24} {to:g} {down}"/>')
    for key, box in boxes.items():
        x, y = middle[key, layer[key]] - left - WIDTH / 2, top[layer[key]]
        lines.append(
            f"<g><title>{escape(box.name)}</title>"
            f'<rect class="{box.kind}{"" if key else " this"}" x="{x:g}" y="{y}" width="{WIDTH}" height="{HEIGHT}" '
            f'rx="6"/><text x="{x + 10:g}" y="{y + 20}">{escape(_short(box.name))}</text>'
            f'<text class="made" x="{x + 10:g}" y="{y + 36}">{escape(box.made)}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS // 2 - 1]}…{name[-LETTERS // 2 :]}"
