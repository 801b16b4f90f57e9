"""Small pictures as SVG that stands alone: arrays as images or bars, side by side."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

import numpy as np

from .input_gradients import Array

SIDE: Final = 168.0
"""Width and height of a panel's drawing."""
_GAP: Final = 20.0
_LINE: Final = 15.0
_RED: Final = np.array([178, 24, 43])
_BLUE: Final = np.array([33, 102, 172])
_STYLE: Final = """
svg.chainrule { background: #ffffff; font: 11px ui-monospace, Menlo, Consolas, monospace; }
.chainrule text { fill: #1f2328; } .chainrule .title { font-weight: 600; }
.chainrule .axis { stroke: #8b949e; fill: none; } .chainrule .note { fill: #656d76; }
@media (prefers-color-scheme: dark) { svg.chainrule { background: #0d1117; }
.chainrule text { fill: #e6edf3; } .chainrule .note { fill: #8b949e; } }
"""


class Panel(NamedTuple):
    """A drawing of SIDE × SIDE with a name above and notes below."""

    name: str
    drawing: str
    notes: tuple[str, ...] = ()


def array_panel(name: str, values: Array, *, signed: bool = True, notes: Any = ()) -> Panel:
    """One sample: an image (channels, height, width), a matrix, or a vector as bars.

    Signed values are red above zero and blue below, on one scale for both: its end is the 99.5th
    percentile of the magnitudes, so that one pixel does not decide it. Others go from black, the
    least, to white; three channels are red, green and blue. Other channels are added up.
    """
    array = np.asarray(values, np.float64)
    if array.ndim > 1 and not (array.ndim == 3 and array.shape[0] == 3 and not signed):
        array = array.reshape([n for n in array.shape if n > 1])
    if array.ndim < 2:
        return Panel(name, _bars(array.reshape(-1)), tuple(notes))
    if array.ndim > 3 or (array.ndim == 3 and (signed or array.shape[0] != 3)):
        array = array.reshape(-1, *array.shape[-2:]).sum(0)
    return Panel(name, _image(_diverging(array) if signed else _gray(array)), tuple(notes))


def sheet(panels: Sequence[Panel], title: str, *, columns: int = 5) -> str:
    """Panels in rows of `columns` under a title, as SVG."""
    notes = max((len(p.notes) for p in panels), default=0)
    wide, high = SIDE + _GAP, SIDE + _GAP + (notes + 1) * _LINE
    columns = max(1, min(len(panels), columns))
    width = columns * wide + _GAP
    height = -(-len(panels) // columns) * high + 2 * _GAP + _LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chainrule" role="img" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_GAP:g}" y="{_GAP:g}">{escape(title)}</text>',
    ]
    for i, panel in enumerate(panels):
        left = _GAP + i % columns * wide
        top = 2 * _GAP + _LINE + i // columns * high
        below = "".join(
            f'<text class="note" x="0" y="{SIDE + (k + 1) * _LINE:g}">{escape(text)}</text>'
            for k, text in enumerate(panel.notes)
        )
        parts.append(
            f'<g transform="translate({left:g},{top:g})">'
            f'<text x="0" y="-5">{escape(panel.name)}</text>{panel.drawing}{below}</g>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


# Drawings -----------------------------------------------------------------------------------------


def _bars(values: Array) -> str:
    """A bar for each number, upward or downward from the line of zero."""
    n = max(len(values), 1)
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    top, bottom = max(finite.max(initial=0.0), 0.0), min(finite.min(initial=0.0), 0.0)
    scale = SIDE / ((top - bottom) or 1.0)
    zero = top * scale
    bars = [
        f'<rect x="{i * SIDE / n:.2f}" y="{zero - max(v, 0) * scale:.2f}" '
        f'width="{max(SIDE / n - 0.5, 0.5):.2f}" height="{abs(v) * scale:.2f}" '
        f'fill="{_hex(_RED if v > 0 else _BLUE)}"/>'
        for i, v in enumerate(finite.tolist())
    ]
    return "".join([*bars, f'<path class="axis" d="M0,{zero:.2f} H{SIDE:g}"/>'])


def _image(pixels: Array) -> str:
    """RGB bytes (height, width, 3), with sharp pixels."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    data = base64.b64encode(png(pixels)).decode()
    return (
        f'<image width="{width * scale:.2f}" height="{height * scale:.2f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def png(pixels: Array) -> bytes:
    """A PNG file of RGB bytes (height, width, 3). Source: PNG specification (ISO/IEC 15948).

    >>> png(np.zeros((1, 1, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def _gray(array: Array) -> Array:
    """From black to white; (3, height, width) in colour."""
    finite = np.nan_to_num(array)
    low, span = finite.min(), np.ptp(finite) or 1.0
    shade = np.round(255 * (finite - low) / span).astype(np.uint8)
    return np.moveaxis(shade, 0, 2) if shade.ndim == 3 else np.repeat(shade[..., np.newaxis], 3, 2)


def _diverging(array: Array) -> Array:
    """White at zero, red above, blue below."""
    finite = np.nan_to_num(array)
    magnitude = np.abs(finite)
    end = float(np.percentile(magnitude, 99.5)) or float(magnitude.max()) or 1.0
    share = np.minimum(magnitude / end, 1.0)[..., np.newaxis]
    color = np.where(finite[..., np.newaxis] > 0, _RED, _BLUE)
    pixels: Array = np.round(255 * (1 - share) + color * share).astype(np.uint8)
    return pixels


def _hex(color: Array) -> str:
    return "#" + "".join(f"{c:02x}" for c in color.tolist())
