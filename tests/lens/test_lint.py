"""The linter: what the text shows, and silence where it shows nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from chainrule.errors import DataError
from chainrule.lens.lint import lint_file, lint_tree

LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in loader:
    optimizer.zero_grad()
    loss = {loss}
    loss.backward()
    optimizer.step()
"""
PLAIN = "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))\n"
NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop, self.fc = nn.Dropout(), nn.Linear(4, 3)
    def forward(self, x):
        return {result}
model = Net()
"""
JUDGED = "with torch.no_grad():\n    out = model(x)\n"


def codes(text: str) -> list[str]:
    return [f.code for f in lint_tree(ast.parse(text), "train.py")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN + LOOP.format(loss="F.cross_entropy(model(x), y)"), []),
        (PLAIN + LOOP.format(loss="F.cross_entropy(F.softmax(model(x), 1), y)"),
         ["DOUBLE_SOFTMAX"]),
        (PLAIN + LOOP.format(loss="F.nll_loss(F.log_softmax(model(x), 1), y)"), []),
        (PLAIN + LOOP.format(loss="F.nll_loss(F.softmax(model(x), 1), y)"), ["LOSS_MISMATCH"]),
        (PLAIN.replace("3))", "3), nn.Softmax(1))") + "criterion = nn.CrossEntropyLoss()\n"
         + LOOP.format(loss="criterion(model(x), y)"), ["DOUBLE_SOFTMAX"]),
        (NET.format(result="torch.sigmoid(self.fc(x))")
         + LOOP.format(loss="nn.BCEWithLogitsLoss()(model(x), y)"), ["LOSS_MISMATCH"]),
        (NET.format(result="torch.sigmoid(self.fc(x))")
         + LOOP.format(loss="nn.BCELoss()(model(x), y)"), []),
        (PLAIN + LOOP.format(loss="F.cross_entropy(model(x), y)")
         .replace("    optimizer.zero_grad()\n", ""), ["MISSING_ZERO_GRAD"]),
        (PLAIN + LOOP.format(loss="F.mse_loss(model(x).squeeze(1), y.unsqueeze(1))"),
         ["BROADCAST"]),
        (NET.format(result="self.fc(x)") + LOOP.format(loss="F.cross_entropy(model(x), y)")
         + JUDGED, ["MODE_MIXUP"]),
        (NET.format(result="self.fc(x)") + LOOP.format(loss="F.cross_entropy(model(x), y)")
         + "model.eval()\n" + JUDGED, []),
        (NET.format(result="self.fc(x)").replace(
            "nn.Linear(4, 3)\n", "nn.Linear(4, 3)\n        self.more = [nn.Linear(4, 4)]\n"),
         ["NOT_OPTIMIZED"]),
        (NET.format(result="self.fc(x)").replace(
            "nn.Linear(4, 3)\n", "nn.Linear(4, 3)\n        self.more = [nn.Linear(4, 4)]\n"
            "        self.net = nn.Sequential(*self.more)\n"), []),
        ("", []),
    ],
)  # fmt: skip
def test_what_the_text_shows(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_findings_name_the_line() -> None:
    text = PLAIN + LOOP.format(loss="F.cross_entropy(F.softmax(model(x), 1), y)")
    (finding,) = lint_tree(ast.parse(text), "train.py")
    assert text.splitlines()[finding.place.line - 1].strip().startswith("loss =")


def test_a_file_that_is_not_python_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def f(:\n")
    with pytest.raises(DataError, match="not a Python script"):
        lint_file(path)
