"""Turns matplotlib figures into light inline SVG that follows the page's light or dark theme.

Figures are drawn in sentinel colours, which are replaced by CSS custom properties afterwards; text
stays text, in the page's own font. Identifiers get a prefix, because many pictures share one page.
"""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Sentinel colour in a figure -> CSS custom property in the page (defined in `report.css`).
INK, MUTED, GRID = "#010203", "#010204", "#010205"
REAL, SYNTHETIC, BAND = "#010206", "#010207", "#010208"
HIT, FALSE_ALARM, MISS, PAPER = "#010209", "#01020a", "#01020b", "#01020c"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    REAL: "real",
    SYNTHETIC: "synthetic",
    BAND: "band",
    HIT: "hit",
    FALSE_ALARM: "false-alarm",
    MISS: "miss",
    PAPER: "paper",
}

#: matplotlib settings of every picture. `svg.hashsalt` makes the bytes a function of the content.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "isthmus",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    # A tick label reads "-1", not a minus sign that some system fonts lack at small sizes.
    "axes.unicode_minus": False,
}


def to_inline_svg(figure: Figure, name: str, alt: str) -> str:
    """An `<svg role="img">` with a title as its alternative text.

    Args:
      figure: Drawn in the sentinel colours of this module.
      name: Unique in the page; letters, digits and hyphens.
      alt: What the picture shows, in words with its numbers.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _clean(buffer.getvalue(), name, alt)


def _clean(text: str, name: str, alt: str) -> str:
    """Strips what only a standalone file needs, and makes colours and ids fit for the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r' xmlns(:xlink)?="[^"]+"', "", text)  # inline SVG in HTML needs none
    # Size, weight and family come from the page's CSS; only the anchor is the picture's own.
    text = re.sub(r'font: ([\d.]+)px [^;"]+', r"font-size: \1px", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    # Hundredths of a point are enough for coordinates; text between the tags keeps its digits.
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r"\n\s*", " ", text)
    opening = re.match(r"<svg[^>]*>", text)
    box = re.search(r'viewBox="([^"]+)"', text)
    assert opening is not None and box is not None, "matplotlib wrote no svg element"
    head = (
        f'<svg role="img" aria-labelledby="{name}-alt" viewBox="{box[1]}">'
        f'<title id="{name}-alt">{html.escape(alt)}</title>'
    )
    return head + text[opening.end() :]
