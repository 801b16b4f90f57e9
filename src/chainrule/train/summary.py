"""summary: the layers of a model with their output shapes and numbers of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from .. import config
from ..core.aval import Shape
from ..core.value import recording
from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Tensor

_HEADERS = ("module", "layer", "output shape", "parameters")
_LONGEST = 38
_UNBOUNDED = 10_000


class Row(NamedTuple):
    """One layer: its path in the model, what it is, the shape of its output, its parameters."""

    path: str
    layer: str
    shape: Shape
    parameters: int


@final
@dataclass(frozen=True)
class Summary:
    """The table of a model. ``print`` shows it as text, rich as a table."""

    title: str
    input_shape: Shape
    rows: tuple[Row, ...]
    parameters: int
    """All parameters of the model, shared ones once."""
    trainable: int

    def cells(self) -> list[tuple[str, ...]]:
        """The lines of the table: module, layer, output shape, parameters."""
        rows = [(r.path, r.layer, str(r.shape), f"{r.parameters:,}") for r in self.rows]
        return [("", "input", str(self.input_shape), ""), *rows]

    @property
    def total(self) -> str:
        """``34,826 parameters``, and how many of them are trained if not all are."""
        text = f"{self.parameters:,} parameter{'s' * (self.parameters != 1)}"
        return text if self.trainable == self.parameters else f"{text}, {self.trainable:,} trained"

    def __str__(self) -> str:
        lines = [_HEADERS, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join([*map(str.ljust, line[:3], widths), line[3].rjust(widths[3])])
            for line in lines
        ]
        rule = "─" * len(text[0])
        return "\n".join([self.title, rule, text[0], rule, *text[1:], rule, self.total])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or as much of it as there is room for: kind of layer, shape, parameters."""
        whole = self._table(_HEADERS, self.cells())
        if console.measure(whole, options=options.update(max_width=_UNBOUNDED)).maximum <= (
            options.max_width
        ):
            yield whole
            return
        kinds = [(cells[1].partition("(")[0], *cells[2:]) for cells in self.cells()]
        narrow = self._table(_HEADERS[1:], kinds)
        narrow.box, narrow.show_edge, narrow.pad_edge = SIMPLE_HEAD, False, False
        yield narrow

    def _table(self, headers: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
        table = Table(title=Text(self.title), caption=self.total, title_justify="left")
        for header in headers:
            side: JustifyMethod = "right" if header == _HEADERS[-1] else "left"
            table.add_column(header, justify=side, no_wrap=True)
        for line in lines:
            table.add_row(*map(Text, line))
        return table


def summary(
    model: Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    *,
    dtype: Any = None,
    channels_last: bool = True,
) -> Summary:
    """The layers of `model` in the order they run, for one sample of `input_shape`.

    The model runs once on zeros, in evaluation mode, and is left as it was. Shapes are without the
    batch, and of images with the channels last, as in the sources' table: (26, 26, 32). With
    ``channels_last=False`` they are as the tensors are. Several inputs have one shape each; `dtype`
    is theirs (int64 for an embedding).

    A layer that runs twice appears twice, its parameters the first time only. What is computed
    between modules does not appear.

    >>> net = cr.nn.Sequential(cr.nn.Conv2d(1, 32, 3), cr.nn.ReLU(), cr.nn.Flatten())
    >>> for row in summary(net, (1, 28, 28)).rows:
    ...     print(row.path, row.shape, row.parameters)
    0 (26, 26, 32) 320
    1 (26, 26, 32) 0
    2 (21632,) 0
    """
    shapes = _shapes(input_shape)
    chosen = np.dtype(config.get_default_dtype() if dtype is None else dtype)
    inputs = [Tensor.wrap(np.zeros((1, *shape), chosen)) for shape in shapes]
    rows: list[Row] = []
    counted: set[int] = set()

    def note(path: str, module: Module) -> Any:
        def hook(_module: Module, _args: Any, output: Any) -> None:
            new = [p for p in module.parameters(recurse=_is_leaf(module)) if id(p) not in counted]
            counted.update(map(id, new))
            size = sum(p.array.size for p in new)
            rows.append(Row(path, _describe(module), _shape_of(output, channels_last), size))

        return module.register_forward_hook(hook)

    shown = [(p, m) for p, m in model.named_modules() if _is_leaf(m) or list(m._parameters)]
    handles = [note(path, module) for path, module in shown]
    before = [(module, module.training) for module in model.modules()]
    try:
        with recording(False):
            model.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for module, was in before:
            module.training = was
    return Summary(
        title=type(model).__name__,
        input_shape=_turned(shapes[0], channels_last),
        rows=tuple(rows),
        parameters=sum(p.array.size for p in model.parameters()),
        trainable=sum(p.array.size for p in model.parameters() if p.requires_grad),
    )


def _shapes(given: Sequence[Any]) -> list[Shape]:
    """One shape, or several."""
    several = [given] if all(isinstance(n, (int, np.integer)) for n in given) else list(given)
    shapes = [tuple(int(n) for n in shape) for shape in several]
    if any(n < 0 for shape in shapes for n in shape):
        raise ArgumentError("sizes are not negative", got=str(given))
    return shapes


def _is_leaf(module: Module) -> bool:
    return not any(True for _ in module.children())


def _describe(module: Module) -> str:
    """``Conv2d(1, 32, kernel_size=(3, 3), …)``: the module's own line, as far as there is room."""
    name, extra = type(module).__name__, module.extra_repr()
    whole = f"{name}({extra})"
    if len(whole) <= _LONGEST:
        return whole
    # Cut at a comma between settings, not at one within a tuple.
    ends = [
        i for i, c in enumerate(extra) if c == "," and extra[:i].count("(") == extra[:i].count(")")
    ]
    fitting = [i for i in ends if len(name) + i + 5 <= _LONGEST]
    return f"{name}({extra[: fitting[-1]]}, …)" if fitting else f"{name}(…)"


def _shape_of(output: Any, channels_last: bool) -> Shape:
    """The shape of one sample of a module's (first) output."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return _turned(output.shape[1:], channels_last) if isinstance(output, Tensor) else ()


def _turned(shape: Shape, channels_last: bool) -> Shape:
    """(channels, height, width) as (height, width, channels)."""
    return (*shape[1:], shape[0]) if channels_last and len(shape) == 3 else tuple(shape)
