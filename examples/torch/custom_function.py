"""Functions with a backward of their own: a Legendre polynomial, a hard sign, a clipped exp."""

import math

import numpy as np
import torch
from common import arguments, report
from torch.autograd import Function, gradcheck


class LegendrePolynomial3(Function):
    """P3(x) = (5 x³ - 3 x) / 2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * (5 * x**3 - 3 * x)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * x**2 - 1)


class StraightThroughSign(Function):
    """sign(x), with the derivative of the identity where |x| ≤ limit."""

    @staticmethod
    def forward(ctx, x, limit):
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.sign()

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[x.abs() > ctx.limit] = 0
        return grad_input, None


class ScaledExp(Function):
    """scale · exp(x) of two tensors; backward needs the output only."""

    @staticmethod
    def forward(ctx, x, scale):
        y = x.exp()
        ctx.save_for_backward(y, scale)
        return scale * y

    @staticmethod
    def backward(ctx, grad_output):
        y, scale = ctx.saved_tensors
        grad_x = grad_scale = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_output * scale * y
        if ctx.needs_input_grad[1]:
            grad_scale = (grad_output * y).sum()
        return grad_x, grad_scale


def main():
    args = arguments(__doc__, steps=1500)
    rng = np.random.default_rng(args.seed)
    probe = torch.tensor(rng.standard_normal(5), dtype=torch.double, requires_grad=True)
    scale = torch.tensor(0.7, dtype=torch.double, requires_grad=True)
    assert gradcheck(LegendrePolynomial3.apply, (probe,))
    assert gradcheck(ScaledExp.apply, (probe, scale))

    x = torch.linspace(-math.pi, math.pi, 200)
    y = torch.sin(x)
    a = torch.full((), 0.0, requires_grad=True)
    b = torch.full((), -1.0, requires_grad=True)
    c = torch.full((), 0.0, requires_grad=True)
    d = torch.full((), 0.3, requires_grad=True)
    learning_rate, losses = 5e-3, []
    for _ in range(args.steps):
        predicted = a + b * LegendrePolynomial3.apply(c + d * x)
        loss = (predicted - y).pow(2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (a, b, c, d):
                p -= learning_rate * p.grad
                p.grad = None
        losses.append(loss.item())

    w = torch.tensor([0.3, -2.0, 0.9], requires_grad=True)
    signs = StraightThroughSign.apply(w, 1.0)
    (signs * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    print(f"y = {a.item():.3f} + {b.item():.3f} P3({c.item():.3f} + {d.item():.3f} x)")
    report(losses, straight_through=w.grad.tolist())


if __name__ == "__main__":
    main()
