"""Adversarial training: a data set whose inputs are attacked anew each time they are read."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from ...data.dataset import Dataset, Samples, fetch
from ...data.samplers import Indices
from ...errors import ArgumentError
from ...nn.module import Module
from ...tensor import Tensor
from ...train.loop import in_mode
from .gradient import GradientAttack


@final
class AdversarialExamples(Dataset):
    """Samples (input, class) of another data set, the inputs moved by an attack on a model.

    A DataLoader of it trains the model on the worst inputs in a ball, as it is at that step: the
    inner maximum of min_θ E[max_{‖δ‖≤ε} L(θ, x + δ, y)] (A. Madry et al. 2018, arXiv:1706.06083,
    equation 2.1). With PGD it is their training; with ``FGSM(..., random_start=True)`` the fast one
    of E. Wong, L. Rice, J. Z. Kolter 2020, arXiv:2001.03994, which must be watched: if the accuracy
    under PGD falls while that under FGSM stays, it overfitted to one step (section 5.4).

    `share` is the part of each batch that is attacked; the rest stays clean. Examples are made in
    evaluation mode, and the model is left in the mode it was in. Use ``num_workers=0``: batches
    that are made in advance would be attacks on a model of some steps ago.

    >>> model = cr.nn.Linear(2, 2)
    >>> data = cr.data.TensorDataset(np.full((4, 2), 0.5, np.float32), np.array([0, 1, 0, 1]))
    >>> attack = cr.uses.adversarial.FGSM(model, eps=0.1)
    >>> moved, labels = AdversarialExamples(data, attack).batch(slice(0, 4))
    >>> bool(abs(moved - 0.5).max() < 0.1001)
    True
    """

    def __init__(self, dataset: Samples, attack: GradientAttack, *, share: float = 1.0) -> None:
        if not 0 < share <= 1:
            raise ArgumentError("a part of each batch is attacked", got=f"share={share}")
        self.dataset = dataset
        self.attack = attack
        self.share = share

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        inputs, labels = self.batch(np.array([range(len(self))[index]]))
        return inputs[0], labels[0]

    def batch(self, indices: Indices | slice) -> tuple[Tensor, Tensor]:
        inputs, labels = fetch(self.dataset, indices)
        count = max(1, round(self.share * len(inputs)))
        model = self.attack.model
        module = model if isinstance(model, Module) else Module()
        with in_mode(module, training=False):
            moved = self.attack.perturb(inputs.array[:count], labels.array[:count])
        if count < len(inputs):
            moved = np.concatenate([moved, inputs.array[count:]])
        return Tensor.wrap(moved), labels
