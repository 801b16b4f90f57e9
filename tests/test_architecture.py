"""The shape of the package, read from its sources: who may import whom, and how long things are."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "chainrule"
LADDER = (
    "errors", "config", "core", "ops", "engine", "grad_mode", "printing", "operators",
    "array_methods", "function_methods", "methods", "facts", "in_place", "numpy_shapes",
    "numpy_protocol", "conversion", "tensor", "creation", "special", "linalg", "fft", "autodiff",
    "autograd", "runtime", "compile", "nn", "func", "distributions", "optim", "data", "train",
    "lens", "uses", "interop", "testing", "torch", "cli",
)  # fmt: skip
"""Each level imports from itself and from the levels before it. See docs/design/002."""
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "yaml", "distutils"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
EAGER_THIRD_PARTY = {"numpy"}
"""What `import chainrule` may load besides the standard library; the rest is loaded when used."""

SOURCES = sorted(ROOT.rglob("*.py"))


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def level_of(path: Path) -> str | None:
    """The rung a file stands on; None for the package's own __init__ and __main__."""
    top = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return None if top in ("__init__", "__main__") else top


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that run: those under `if TYPE_CHECKING` do not."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt) and is_type_checking(child):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from imports(child)


def internal_targets(path: Path, node: ast.Import | ast.ImportFrom) -> list[str]:
    """The rungs that an import statement reaches for."""
    if isinstance(node, ast.Import):
        return [a.name.split(".")[1] for a in node.names if a.name.startswith("chainrule.")]
    package = list(path.relative_to(ROOT.parent).parts[:-1])
    if node.level:
        base = package[: len(package) - node.level + 1]
        parts = base + (node.module.split(".") if node.module else [])
    else:
        parts = (node.module or "").split(".")
    if parts[0] != "chainrule":
        return []
    return [parts[1]] if len(parts) > 1 else [a.name for a in node.names]


def third_party(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Top-level names of packages that are neither ours nor the standard library's."""
    if isinstance(node, ast.ImportFrom):
        found = set() if node.level else {(node.module or "").split(".")[0]}
    else:
        found = {a.name.split(".")[0] for a in node.names}
    return found - set(sys.stdlib_module_names) - {"chainrule"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_every_file_imports_only_from_its_own_rung_and_those_below(path: Path) -> None:
    level = level_of(path)
    if level is None:
        return
    assert level in LADDER, f"{level} has no place on the ladder"
    allowed = LADDER[: LADDER.index(level) + 1]
    too_high = [
        f"line {node.lineno}: {target}"
        for node in imports(parse(path))
        for target in internal_targets(path, node)
        if target in LADDER and target not in allowed
    ]
    assert not too_high


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_imports_inside_functions_are_of_optional_or_heavy_packages_only(path: Path) -> None:
    wrong = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for function in functions(parse(path))
        for node in imports(function)
        if not third_party(node) or third_party(node) & EAGER_THIRD_PARTY
    ]
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_nothing_unpickles_evaluates_or_executes(path: Path) -> None:
    tree = parse(path)
    wrong = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in imports(tree)
        if {a.name.split(".")[0] for a in node.names} & FORBIDDEN_MODULES
        or (isinstance(node, ast.ImportFrom) and (node.module or "") in FORBIDDEN_MODULES)
    ]
    wrong += [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FORBIDDEN_CALLS
    ]
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_files_and_functions_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES
    long = [
        f"{f.name}: {f.end_lineno - f.lineno + 1} lines"
        for f in functions(parse(path))
        if f.end_lineno is not None and f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_every_module_and_every_public_function_and_class_is_documented(path: Path) -> None:
    tree = parse(path)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    missing += list(undocumented(tree))
    assert not missing


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions and classes without a docstring, and public methods of the latter.

    A method that another class of the package documents needs no words of its own, nor does one
    that is a single return: what it calls is documented.
    """
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"line {node.lineno}: {node.name}"
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if (
                        isinstance(method, ast.FunctionDef)
                        and not method.name.startswith("_")
                        and not ast.get_docstring(method)
                        and not inherits_documentation(node.name, method)
                    ):
                        yield f"line {method.lineno}: {node.name}.{method.name}"


def inherits_documentation(owner: str, method: ast.FunctionDef) -> bool:
    """Whether a method overrides a documented one, is an overload or setter, or only delegates."""
    decorators = " ".join(map(ast.unparse, method.decorator_list))
    if "overload" in decorators or "setter" in decorators:
        return True
    if len(method.body) == 1 and isinstance(method.body[0], ast.Return):
        return True
    return any(cls != owner for cls in documented_methods().get(method.name, ()))


_documented: dict[str, set[str]] = {}


def documented_methods() -> dict[str, set[str]]:
    """Names of documented methods in the package, with the classes that document them."""
    if not _documented:
        for path in SOURCES:
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.ClassDef):
                    for method in node.body:
                        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method):
                            _documented.setdefault(method.name, set()).add(node.name)
    return _documented


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"rich", "click", "safetensors", "mpmath", "scipy", "hypothesis", "pytest", "llvmlite"}
    eager: set[str] = set()
    for path in SOURCES:
        if level_of(path) in ("cli", "train", "lens"):
            continue
        for node in parse(path).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                eager |= third_party(node)
    assert not eager & heavy
