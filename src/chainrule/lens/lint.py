"""The linter: training mistakes that the code alone shows, read from its syntax tree.

It says only what follows from the text: a name that it cannot follow is let pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from ..errors import DataError
from .doctor.findings import Finding, Severity
from .doctor.places import Place

_CROSS: Final = ("cross_entropy", "CrossEntropyLoss")
_LOGITS: Final = ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss")
_NLL: Final = ("nll_loss", "NLLLoss")
_BCE: Final = ("binary_cross_entropy", "BCELoss")
_MOODY: Final = frozenset({"Dropout", "Dropout1d", "Dropout2d", "BatchNorm1d", "BatchNorm2d",
                           "BatchNorm3d", "AlphaDropout"})  # fmt: skip
_OPTIMIZERS: Final = frozenset({"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax",
                                "NAdam", "RAdam", "Rprop", "ASGD"})  # fmt: skip
_LAST: Final = {"softmax": "softmax", "Softmax": "softmax", "log_softmax": "log_softmax",
                "LogSoftmax": "log_softmax", "sigmoid": "sigmoid", "Sigmoid": "sigmoid",
                "relu": "relu", "ReLU": "relu", "tanh": "tanh", "Tanh": "tanh"}  # fmt: skip


def lint_file(path: Path) -> list[Finding]:
    """What is wrong in a script. Raises DataError if it is not Python."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, UnicodeDecodeError, ValueError) as failure:
        raise DataError("this is not a Python script", got=str(failure)[:200]) from failure
    return lint_tree(tree, str(path))


def lint_tree(tree: ast.Module, file: str) -> list[Finding]:
    """What is wrong in a program, in the order of its lines."""
    program = _Program(tree, file)
    found = [
        *program.doubled(), *program.piled_up(), *program.left_out(), *program.judged_awake(),
        *program.misshapen(),
    ]  # fmt: skip
    return sorted(found, key=lambda f: f.place.line)


@final
class _Program:
    """A syntax tree with what names stand for."""

    def __init__(self, tree: ast.Module, file: str) -> None:
        self.tree = tree
        self.file = file
        self.values: dict[str, ast.expr] = {}
        self.classes = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self.values[ast.unparse(node.targets[0])] = node.value
        self.calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]

    def _finding(
        self, code: str, node: ast.AST, cause: str, remedy: str, severity: Severity = "error"
    ) -> Finding:
        place = Place(self.file, getattr(node, "lineno", 0))
        return Finding(code, severity, cause, "", remedy, {"line": place.line}, place)

    # What an expression is -----------------------------------------------------------------------

    def _loss_name(self, call: ast.Call) -> str:
        """The loss function that a call is of: ``F.cross_entropy(..)`` or ``criterion(..)``."""
        name = _name(call.func)
        made = self.values.get(ast.unparse(call.func))
        if isinstance(made, ast.Call):
            return _name(made.func)
        if isinstance(call.func, ast.Call):
            return _name(call.func.func)
        return name if name and name[0].islower() else ""

    def _last_of(self, expression: ast.expr, depth: int = 0) -> str:
        """The activation that an expression ends with, or nothing."""
        if depth > 6:
            return ""
        if isinstance(expression, ast.Name) or (
            isinstance(expression, ast.Attribute) and ast.unparse(expression) in self.values
        ):
            made = self.values.get(ast.unparse(expression))
            return "" if made is None else self._last_of(made, depth + 1)
        if not isinstance(expression, ast.Call):
            return ""
        name = _name(expression.func)
        if name in ("squeeze", "view", "reshape", "flatten") and isinstance(
            expression.func, ast.Attribute
        ):
            return self._last_of(expression.func.value, depth + 1)
        if name in _LAST and not name[0].isupper():
            return _LAST[name]
        called = expression.func.func if isinstance(expression.func, ast.Call) else None
        if called is not None:  # nn.Softmax(dim=1)(x)
            return _LAST.get(_name(called), "")
        made = self.values.get(ast.unparse(expression.func))
        return "" if not isinstance(made, ast.Call) else self._last_of_model(made, depth + 1)

    def _last_of_model(self, made: ast.Call, depth: int = 0) -> str:
        """The activation at the end of a model: of nn.Sequential, or of a class's forward."""
        name = _name(made.func)
        if name in _LAST:
            return _LAST[name]
        if name == "Sequential" and made.args and isinstance(made.args[-1], ast.Call):
            return self._last_of_model(made.args[-1], depth + 1)
        if name in self.classes and depth < 6:
            return self._last_of_class(self.classes[name], depth)
        return ""

    def _last_of_class(self, cls: ast.ClassDef, depth: int) -> str:
        forward = next((f for f in cls.body if isinstance(f, ast.FunctionDef)
                        and f.name == "forward"), None)  # fmt: skip
        returns = [] if forward is None else [
            n.value for n in ast.walk(forward) if isinstance(n, ast.Return) and n.value is not None
        ]  # fmt: skip
        return self._last_of(returns[-1], depth + 1) if returns else ""

    # Rules ---------------------------------------------------------------------------------------

    def doubled(self) -> Iterator[Finding]:
        """A loss of scores after a softmax or another activation; nll_loss without log_softmax."""
        for call in self.calls:
            loss = self._loss_name(call)
            if not call.args:
                continue
            last = self._last_of(call.args[0])
            if loss in _CROSS and last == "softmax":
                yield self._finding(
                    "DOUBLE_SOFTMAX", call, f"{loss} takes a softmax itself, and its input ends "
                    "with one", "leave out the softmax",
                )  # fmt: skip
            elif (loss in _CROSS and last in ("sigmoid", "tanh", "relu")) or (
                loss in _LOGITS and last in ("sigmoid", "softmax", "tanh", "relu")
            ):
                yield self._finding(
                    "LOSS_MISMATCH", call, f"{loss} takes free scores, and its input ends with "
                    f"{last}", f"leave out {last}",
                )  # fmt: skip
            elif loss in _NLL and last in ("softmax", "sigmoid", "relu", "tanh"):
                yield self._finding(
                    "LOSS_MISMATCH", call, f"{loss} takes log-probabilities, and its input ends "
                    f"with {last}", "use log_softmax before it",
                )  # fmt: skip
            elif loss in _BCE and last in ("relu", "tanh", "log_softmax"):
                yield self._finding(
                    "LOSS_MISMATCH", call, f"{loss} takes probabilities, and its input ends with "
                    f"{last}", "use sigmoid, or binary_cross_entropy_with_logits without it",
                )  # fmt: skip

    def piled_up(self) -> Iterator[Finding]:
        """A loop that steps an optimizer and never forgets the gradients."""
        names = {_name(c.func) for c in self.calls}
        text = ast.unparse(self.tree)
        if "zero_grad" in names or ".grad = None" in text or "grad.zero_" in text:
            return
        if "grad.data.zero_" in text or "set_to_none" in text:
            return
        for loop in ast.walk(self.tree):
            if not isinstance(loop, ast.For | ast.While):
                continue
            inside = [n for n in ast.walk(loop) if isinstance(n, ast.Call)]
            back = [c for c in inside if _name(c.func) == "backward"]
            steps = [c for c in inside if _name(c.func) == "step" and self._is_optimizer(c)]
            if back and steps:
                yield self._finding(
                    "MISSING_ZERO_GRAD", steps[0], "no gradient is ever forgotten: each step uses "
                    "the sum of all gradients so far", "call optimizer.zero_grad() before "
                    "loss.backward()",
                )  # fmt: skip
                return

    def _is_optimizer(self, step: ast.Call) -> bool:
        if not isinstance(step.func, ast.Attribute):
            return False
        made = self.values.get(ast.unparse(step.func.value))
        return isinstance(made, ast.Call) and _name(made.func) in _OPTIMIZERS

    def left_out(self) -> Iterator[Finding]:
        """Layers in a plain list, which no module lists among its parameters."""
        for cls in self.classes.values():
            if not any(_name(base) == "Module" for base in cls.bases):
                continue
            for node in ast.walk(cls):
                if not isinstance(node, ast.Assign) or not isinstance(
                    node.targets[0], ast.Attribute
                ):
                    continue
                target, value = node.targets[0], node.value
                held = value.elts if isinstance(value, ast.List) else (
                    [value.elt] if isinstance(value, ast.ListComp) else [])  # fmt: skip
                text = ast.unparse(cls)
                listed = any(f"{how}self.{target.attr}" in text for how in ("*", "ModuleList("))
                if (
                    ast.unparse(target.value) == "self"
                    and held
                    and not listed
                    and all(isinstance(x, ast.Call) and _is_layer(x) for x in held)
                ):
                    yield self._finding(
                        "NOT_OPTIMIZED", node, f"self.{target.attr} is a plain list: its layers "
                        "are not among the module's parameters, so no optimizer gets them",
                        f"self.{target.attr} = nn.ModuleList([...])",
                    )  # fmt: skip

    def judged_awake(self) -> Iterator[Finding]:
        """Evaluation under no_grad of a model with dropout or batch norm, and no eval()."""
        names = {_name(c.func) for c in self.calls}
        if not names & _MOODY or "eval" in names or "backward" not in names:
            return
        if any(_name(c.func) == "train" and c.args and ast.unparse(c.args[0]) == "False"
               for c in self.calls):  # fmt: skip
            return
        for node in ast.walk(self.tree):
            if isinstance(node, ast.With) and any(
                "no_grad" in ast.unparse(item.context_expr) for item in node.items
            ):
                called = [c for c in ast.walk(node) if isinstance(c, ast.Call)
                          and isinstance(self.values.get(ast.unparse(c.func)), ast.Call)
                          and self._is_model(ast.unparse(c.func))]  # fmt: skip
                if called:
                    yield self._finding(
                        "MODE_MIXUP", called[0], "the model is judged under no_grad(), with "
                        "dropout or batch norm in training mode", "call model.eval() before, and "
                        "model.train() after it", "warning",
                    )  # fmt: skip
                    return

    def _is_model(self, name: str) -> bool:
        made = self.values[name]
        kind = _name(made.func) if isinstance(made, ast.Call) else ""
        return kind == "Sequential" or kind in self.classes

    def misshapen(self) -> Iterator[Finding]:
        """One axis squeezed away on one side of a distance, and added or kept on the other."""
        for call in self.calls:
            loss = self._loss_name(call)
            if loss not in ("mse_loss", "MSELoss", "l1_loss", "L1Loss") or len(call.args) < 2:
                continue
            a, b = (_axis_change(x) for x in call.args[:2])
            if {a, b} == {"squeeze", "unsqueeze"}:
                yield self._finding(
                    "BROADCAST", call, f"{loss} is given one side squeezed and the other "
                    "unsqueezed: every output is compared with every target",
                    "give both one shape",
                )  # fmt: skip


def _name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_layer(call: ast.Call) -> bool:
    name = _name(call.func)
    return ast.unparse(call.func).startswith(("nn.", "torch.nn.")) and name[:1].isupper() and (
        name not in ("Parameter", "ReLU", "Tanh", "Sigmoid", "GELU", "Identity", "Dropout")
    )  # fmt: skip


def _axis_change(expression: ast.expr) -> str:
    name = _name(expression.func) if isinstance(expression, ast.Call) else ""
    return name if name in ("squeeze", "unsqueeze") else ""
