"""Which names of PyTorch a program uses, read from its syntax tree, and which are missing here."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, TypeAlias

from ..errors import ChainruleError, DataError
from ..tensor import Tensor
from ._names import ROOT, nearest
from ._program import ELSEWHERE
from ._tensor_names import TENSOR_NAMES

Verdict: TypeAlias = Literal["present", "missing", "doubtful"]
"""A doubtful name is missing, but perhaps never asked for, or not PyTorch's at all."""

_GUARDS: Final = ("is_available", "hasattr", "cuda", "device_count", "TYPE_CHECKING", "mps", "xpu")
_LENIENT: Final = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", None}
"""Errors whose handler means that a name may be missing."""


@dataclass(frozen=True)
class Use:
    """A name of PyTorch's, where it is first used, and what is known of it."""

    name: str
    place: str
    verdict: Verdict
    nearest: str = ""


@dataclass(frozen=True)
class Census:
    """All names of PyTorch's that a program uses, in order of their names."""

    program: str
    uses: tuple[Use, ...]

    def having(self, verdict: Verdict) -> list[Use]:
        """The uses of one verdict."""
        return [use for use in self.uses if use.verdict == verdict]

    @property
    def complete(self) -> bool:
        """Whether nothing is surely missing."""
        return not self.having("missing")

    def lines(self, *, all_names: bool = True) -> Iterator[str]:
        """The census as text, what is missing first; without `all_names`, only that."""
        counts = [
            f"{len(found)} {verdict}"
            for verdict in ("present", "missing", "doubtful")
            if (found := self.having(verdict))
        ]
        yield f"{self.program} uses {len(self.uses)} names of PyTorch: {', '.join(counts) or '-'}"
        shown = [*self.having("missing"), *self.having("doubtful")]
        if all_names:
            shown += self.having("present")
        width = max((len(use.name) for use in shown), default=0)
        for use in shown:
            hint = f"   {use.nearest}" if use.nearest else ""
            yield f"  {use.verdict:<8}  {use.name:<{width}}  {use.place}{hint}"


def take_census(script: str | Path) -> Census:
    """Read a program, and the files in its folder that it imports.

    Raises DataError if there is no such file, SyntaxError if it is not Python.
    """
    path = Path(script)
    if not path.is_file():
        raise DataError("there is no such program", got=str(script))
    found: dict[str, Use] = {}
    waiting, seen = [path], {path.resolve()}
    while waiting:
        file = waiting.pop()
        reader = _Reader(file.name)
        reader.visit(ast.parse(file.read_bytes(), str(file)))
        for use in reader.finished():
            known = found.get(use.name)
            if known is None or (known.verdict, use.verdict) == ("doubtful", "missing"):
                found[use.name] = use
        for neighbour in _neighbours(reader.imported, path.resolve().parent):
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append(neighbour)
    return Census(path.name, tuple(found[name] for name in sorted(found)))


def _neighbours(modules: set[str], folder: Path) -> Iterator[Path]:
    """The files in the program's folder that these modules are."""
    for name in modules:
        base = folder.joinpath(*name.split("."))
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                yield candidate.resolve()


@dataclass
class _Reader(ast.NodeVisitor):
    """Collects the uses in one file."""

    file: str
    aliases: dict[str, str] = field(default_factory=dict)
    """What names of the file stand for: ``nn`` for ``torch.nn``."""
    bound: set[str] = field(default_factory=set)
    """Names that the file binds otherwise."""
    imported: set[str] = field(default_factory=set)
    """Modules that are not PyTorch's."""
    chains: list[tuple[str, int, bool]] = field(default_factory=list)
    """Dotted names below torch, their lines, and whether a guard stands before them."""
    methods: list[tuple[str, int, bool, bool]] = field(default_factory=list)
    """Attributes of other values: name, line, guarded, and whether torch made the value."""
    tensors: set[str] = field(default_factory=set)
    """Variables that were assigned what a function of torch returned."""
    guards: int = 0

    # Imports and bindings -------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            if top == "torch":
                self.aliases[alias.asname or top] = alias.name if alias.asname else top
                self._use(alias.name, node)
            elif top in ELSEWHERE:
                self._use(top, node)
            else:
                self.imported.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        top = module.partition(".")[0]
        if top in ELSEWHERE:
            self._use(top, node)
        elif top != "torch" or node.level:
            self.imported |= {module, *(f"{module}.{a.name}".strip(".") for a in node.names)}
        else:
            for alias in node.names:
                if alias.name == "*":
                    self.aliases = {n: f"{module}.{n}" for n in _public(module)} | self.aliases
                    self._use(module, node)
                else:
                    self.aliases[alias.asname or alias.name] = f"{module}.{alias.name}"
                    self._use(f"{module}.{alias.name}", node)

    def visit_arg(self, node: ast.arg) -> None:
        self.bound.add(node.arg)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.bound.add(node.name)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.bound.add(node.name)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and self._is_tensor(node.value):
                self.tensors.add(target.id)
        self.generic_visit(node)

    # Guards ---------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        text = ast.unparse(node.test)
        guarded = any(word in text for word in _GUARDS)
        negative = text.startswith("not ")
        self.visit(node.test)
        self._within(node.body, guarded and not negative)
        self._within(node.orelse, guarded and negative)

    visit_IfExp = visit_If  # noqa: N815  the visitor's name

    def visit_Try(self, node: ast.Try) -> None:
        caught = {
            getattr(kind, "id", getattr(kind, "attr", None))
            for handler in node.handlers
            for kind in getattr(handler.type, "elts", [handler.type])
        }
        self._within(node.body, bool(caught & _LENIENT) and bool(node.handlers))
        for part in (node.handlers, node.orelse, node.finalbody):
            self._within(part, False)

    def _within(self, nodes: Any, guarded: bool) -> None:
        self.guards += guarded
        for node in nodes if isinstance(nodes, list) else [nodes]:
            self.visit(node)
        self.guards -= guarded

    # Uses -----------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            if node.id in self.aliases:
                self._use(self.aliases[node.id], node)
        else:
            self.bound.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self._dotted(node)
        if dotted is not None:
            if isinstance(node.ctx, ast.Load):
                self._use(dotted, node)
            return
        if isinstance(node.ctx, ast.Load):
            made = self._is_tensor(node.value)
            self.methods.append((node.attr, node.lineno, self.guards > 0, made))
        else:
            self.bound.add(node.attr)
        self.visit(node.value)

    def _use(self, dotted: str, node: ast.AST) -> None:
        self.chains.append((dotted, getattr(node, "lineno", 0), self.guards > 0))

    def _dotted(self, node: ast.expr) -> str | None:
        """``torch.nn.Linear`` for an attribute of what an import named, else None."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            outer = self._dotted(node.value)
            return None if outer is None else f"{outer}.{node.attr}"
        return None

    def _is_tensor(self, node: ast.expr) -> bool:
        """Whether an expression is surely a tensor: a function of torch gave it, or its method."""
        if isinstance(node, ast.Name):
            return node.id in self.tensors
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Attribute) and self._is_tensor(node.func.value):
            return node.func.attr in _TENSOR_MAKERS
        dotted = self._dotted(node.func)
        return dotted is not None and dotted.removeprefix("torch.") in _TENSOR_MAKERS

    # What became of it ----------------------------------------------------------------------------

    def finished(self) -> Iterator[Use]:
        """Every use, judged."""
        for dotted, line, guarded in self.chains:
            if dotted in ELSEWHERE:
                verdict: Verdict = "doubtful" if guarded else "missing"
                yield Use(dotted, f"{self.file}:{line}", verdict, f"instead: {ELSEWHERE[dotted]}")
                continue
            shadowed = any(
                n in self.bound and dotted.startswith(p) for n, p in self.aliases.items()
            )
            name, present, close = _resolved(dotted)
            verdict = "present" if present else "doubtful" if guarded or shadowed else "missing"
            yield Use(name, f"{self.file}:{line}", verdict, close)
        for method, line, guarded, made in self.methods:
            if method not in TENSOR_NAMES or method in self.bound:
                continue
            if hasattr(Tensor, method):
                if made or method not in _COMMON:
                    yield Use(f"Tensor.{method}", f"{self.file}:{line}", "present")
                continue
            close = _close(method, dir(Tensor))
            sure = made or (method.endswith("_") and not method.startswith("_"))
            verdict = "missing" if sure and not guarded else "doubtful"
            yield Use(
                f"Tensor.{method}", f"{self.file}:{line}", verdict, _close(method, dir(Tensor))
            )


_TENSOR_MAKERS_TEXT: Final = """
    abs add arange as_tensor bmm cat clamp clone contiguous cos detach div empty exp eye flatten
    float from_numpy full linspace log long matmul mean mm mul ones ones_like permute pow rand
    randint randn relu reshape sigmoid sin softmax sqrt square squeeze stack sub sum t tanh
    tensor transpose unsqueeze view where zeros zeros_like Tensor FloatTensor LongTensor
    randperm
"""
_TENSOR_MAKERS: Final = frozenset(_TENSOR_MAKERS_TEXT.split())
"""Functions and methods of PyTorch's that return one tensor."""
_COMMON_TEXT: Final = """
    add all any apply_ clip clone copy count data dim eval expand fill flatten float format get
    grad index int is_available item long max mean min mode names new norm numpy pow prod repeat
    reshape resize round shape size sort split squeeze std sum t take tile to tolist trace train
    transpose type unique unsqueeze values var view where
"""
_COMMON: Final = frozenset(_COMMON_TEXT.split())
"""Methods that many other objects have too: of these only a tensor's are counted."""


def _resolved(dotted: str) -> tuple[str, bool, str]:
    """The part of a dotted name that matters, whether it is there, and what is nearest if not."""
    found: Any = importlib.import_module(ROOT)
    parts = dotted.split(".")
    for i, part in enumerate(parts[1:], start=1):
        if not (isinstance(found, ModuleType) or inspect.isclass(found)):
            return ".".join(parts[:i]), True, ""  # an attribute of a value: not to be seen here
        try:
            found = getattr(found, part)
        except (AttributeError, ChainruleError):
            name = ".".join(parts[: i + 1])
            beside = [n for n in dir(found) if not n.startswith("_")]
            return name, False, _close(part, beside, ".".join(parts[:i]) + ".")
    return dotted, True, ""


def _close(name: str, names: Sequence[str], prefix: str = "") -> str:
    close = nearest(name, [n for n in names if not n.startswith("_")], 1)
    return f"nearest: {prefix}{close[0]}" if close else ""


def _public(module: str) -> list[str]:
    """The names that ``from module import *`` may give."""
    try:
        mirror = importlib.import_module(ROOT + module.removeprefix("torch"))
    except ImportError:
        return []
    return [n for n in dir(mirror) if not n.startswith("_")]
