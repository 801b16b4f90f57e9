"""What the programs of this folder share: arguments, data, starting weights, the last line.

Every random number comes from NumPy's generator, because ``torch.manual_seed`` gives other numbers
in every library: a program that starts from the same numbers must end at the same loss.
"""

import argparse
import gzip
import json
import struct
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
MNIST = HERE.parents[1] / "src" / "chainrule" / "data" / "files" / "mnist"


def arguments(description, steps, data=None):
    """The command line: ``--steps``, ``--seed`` and, for programs that read files, ``--data``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--steps", type=int, default=steps, help="training steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of NumPy's generator")
    if data is not None:
        parser.add_argument("--data", type=Path, default=data, help="where the data is")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    return args


def reset(model, rng):
    """Draw all weights anew: matrices from N(0, 1/fan_in), biases 0, scales of norms 1."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                drawn = rng.normal(0.0, p[0].numel() ** -0.5, tuple(p.shape))
                p.copy_(torch.from_numpy(drawn).to(p.dtype))
            else:
                p.fill_(0.0 if "bias" in name else 1.0)
    return model


def normal(rng, *shape):
    """Standard normal numbers as float32."""
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def read_idx(path):
    """The array in a gzipped IDX file of bytes."""
    with gzip.open(path, "rb") as file:
        dims = struct.unpack(">BBBB", file.read(4))[3]
        shape = struct.unpack(f">{dims}I", file.read(4 * dims))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def mnist(folder, train=True):
    """Images as floats in [0, 1] of shape (N, 1, 28, 28), and labels."""
    prefix = folder / ("train" if train else "t10k")
    images = read_idx(f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(f"{prefix}-labels-idx1-ubyte.gz")
    pixels = images[:, None].astype(np.float32) / 255
    return torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))


def batches(count, size, steps, rng):
    """Rows of `steps` mini-batches, in an order drawn anew for every epoch."""
    order = np.empty(0, np.int64)
    for _ in range(steps):
        if len(order) < size:
            order = rng.permutation(count)
        yield torch.from_numpy(order[:size])
        order = order[size:]


def report(losses, **figures):
    """Print a few losses on the way, and all that a program can read as a last line of JSON."""
    every = max(1, len(losses) // 10)
    for step in range(0, len(losses), every):
        print(f"step {step:4d}  loss {losses[step]:.4f}")
    print(json.dumps({"steps": len(losses), "first": losses[0], "loss": losses[-1], **figures}))
