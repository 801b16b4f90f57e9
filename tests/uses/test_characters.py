"""The character model: its state, its score, what it writes, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import Streams, Vocabulary
from chainrule.errors import ArgumentError, DataError
from chainrule.uses.sequences import (
    CharacterModel,
    CharacterTraining,
    nats,
    nats_per_character,
    sample,
    text_loss,
)

TEXT = "abcabdabe" * 60


def model_of(characters: int = 5, **settings) -> CharacterModel:
    cr.manual_seed(0)
    return CharacterModel(characters, hidden=12, embedding=6, **settings)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_batches_that_follow_one_another_are_one_text(cell: str, layers: int) -> None:
    codes = np.random.default_rng(0).integers(0, 5, 61)
    model = model_of(cell=cell, layers=layers).eval()
    model.forget(2)
    pieces = [model(x, goes_on).array for x, goes_on, _ in Streams(codes, 2, 10)]
    ((x, _, _),) = Streams(codes, 2, 30)
    whole, _ = model.advance(x)
    np.testing.assert_allclose(np.concatenate(pieces), whole.array, rtol=1e-5, atol=1e-6)


def test_a_first_batch_forgets_what_was_read_before() -> None:
    codes = np.random.default_rng(0).integers(0, 5, 41)
    model = model_of().eval()
    model.forget(2)
    once, again = ([model(x, g).array for x, g, _ in Streams(codes, 2, 10)] for _ in range(2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_kept_state_is_no_part_of_what_is_saved() -> None:
    assert not [name for name in model_of().state_dict() if name.startswith("state")]


@pytest.mark.parametrize("length", [2, 3, 17, 18, 40, 99])
def test_every_character_is_scored_once(length: int) -> None:
    codes = np.random.default_rng(0).integers(0, 5, length)
    model = model_of()
    for p in model.output.parameters():
        p.array = np.zeros_like(p.array)
    model.output.bias.array = np.log(np.array([0.1, 0.2, 0.3, 0.15, 0.25], np.float32))
    expected = -model.output.bias.array[codes[1:]].mean()
    assert nats_per_character(model, codes) == pytest.approx(expected, rel=1e-5)
    assert model.training
    with pytest.raises(DataError, match="too short"):
        nats_per_character(model, codes[:1])


def test_guessing_costs_the_logarithm_of_the_alphabet() -> None:
    scores, codes = cr.zeros(3, 2, 7), cr.zeros(3, 2, dtype=cr.int64)
    assert nats(scores, codes).item() == pytest.approx(math.log(7))


def trained(epochs: int = 12, **options) -> tuple[CharacterModel, CharacterTraining, Vocabulary]:
    alphabet = Vocabulary.of(TEXT)
    model = model_of(len(alphabet), dropout=0.0)
    training = CharacterTraining(
        alphabet.encode(TEXT), model, epochs=epochs, batch_size=4, bptt=9, lr=2e-2, **options
    )
    training.fit(seed=0)
    return model, training, alphabet


def test_a_pattern_is_learnt_by_compiled_steps_and_written_again() -> None:
    model, training, alphabet = trained()
    assert training.trainer.steps().is_compiled
    # Each of the pieces that are scored side by side begins at an unknown place of the pattern.
    assert nats_per_character(model, alphabet.encode(TEXT)) < 0.3
    assert sample(model, alphabet, prompt="abcab", length=9, temperature=0) == "dabeabcab"
    assert sample(model, alphabet, prompt="abcab", length=9, top_k=1, seed=1) == "dabeabcab"
    assert sample(model, alphabet, prompt="abcab", length=9, temperature=1e-6) == "dabeabcab"


def test_compiled_and_eager_training_agree() -> None:
    (a, _, _), (b, _, _) = trained(1), trained(1, compile=False)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(p.array, q.array, rtol=1e-4, atol=1e-5)


def test_samples_follow_the_probabilities_temperature_and_seed() -> None:
    alphabet, model = Vocabulary("abcde"), model_of()
    for p in model.output.parameters():
        p.array = np.zeros_like(p.array)
    model.output.bias.array = np.log(np.array([0.1, 0.2, 0.4, 0.05, 0.25], np.float32))

    def shares(**options) -> list[float]:
        text = sample(model, alphabet, prompt="a", length=400, seed=5, **options)
        assert text == sample(model, alphabet, prompt="a", length=400, seed=5, **options)
        return [text.count(c) / 400 for c in "abcde"]

    assert shares() == pytest.approx([0.1, 0.2, 0.4, 0.05, 0.25], abs=0.08)
    squared = np.array([0.1, 0.2, 0.4, 0.05, 0.25]) ** 2
    assert shares(temperature=0.5) == pytest.approx(list(squared / squared.sum()), abs=0.08)
    assert shares(top_k=2) == pytest.approx([0, 0, 0.4 / 0.65, 0, 0.25 / 0.65], abs=0.08)
    assert shares(temperature=1e6) == pytest.approx([0.2] * 5, abs=0.08)
    first = sample(model, alphabet, prompt="a", length=30, seed=1)
    assert first != sample(model, alphabet, prompt="a", length=30, seed=2)


def test_impossible_samples_are_refused() -> None:
    alphabet, model = Vocabulary("abcde"), model_of()
    for options in ({"temperature": -1}, {"temperature": float("nan")}, {"top_k": 0},
                    {"length": -1}, {"prompt": ""}):  # fmt: skip
        with pytest.raises(ArgumentError):
            sample(model, alphabet, **{"prompt": "a", **options})
    with pytest.raises(DataError, match="'X'"):
        sample(model, alphabet, prompt="X")
    assert sample(model, alphabet, prompt="a", length=0) == ""


def test_truncation_leaves_the_loss_as_it_is() -> None:
    codes = cr.tensor(np.random.default_rng(0).integers(0, 5, (13, 3)))
    model = model_of().eval()
    whole = text_loss(model, codes[:-1], codes[1:], None).item()
    for bptt in (1, 5, 12, 40):
        assert text_loss(model, codes[:-1], codes[1:], bptt).item() == pytest.approx(whole)
