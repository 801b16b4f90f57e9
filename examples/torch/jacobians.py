"""Jacobians, Hessians and products with them; Newton's method; gradients per sample by vmap."""

import numpy as np
import torch
from common import arguments, report, reset
from torch import nn
from torch.autograd.functional import hvp, jacobian
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap


def rosenbrock(x):
    """The narrow curved valley; its minimum is 0 at (1, …, 1)."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def predict(weight, bias, x):
    """A layer, as a function of its parts."""
    return torch.tanh(torch.nn.functional.linear(x, weight, bias))


def layer_jacobians(rng):
    """The Jacobian of a layer by rows, by columns and row by row with autograd.grad."""
    weight = torch.from_numpy(rng.standard_normal((3, 4)))
    bias, x = torch.from_numpy(rng.standard_normal(3)), torch.from_numpy(rng.standard_normal(4))
    by_rows = jacrev(predict, argnums=2)(weight, bias, x)
    by_columns = jacfwd(predict, argnums=2)(weight, bias, x)
    assert torch.allclose(by_rows, by_columns)
    assert torch.allclose(by_rows, jacobian(lambda x: predict(weight, bias, x), x))
    leaf = x.clone().requires_grad_()
    y = predict(weight, bias, leaf)
    rows = [torch.autograd.grad(y, leaf, v, retain_graph=True)[0] for v in torch.eye(3).double()]
    assert torch.allclose(by_rows, torch.stack(rows))
    _, pull = vjp(lambda x: predict(weight, bias, x), x)
    _, push = jvp(lambda x: predict(weight, bias, x), (x,), (torch.ones(4).double(),))
    ct = torch.ones(3).double()
    assert torch.allclose(pull(ct)[0] @ torch.ones(4).double(), ct @ push)
    return by_rows.norm().item()


def newton(start, steps):
    """Newton's method with a halved step where the full one climbs."""
    x, losses = start, []
    for _ in range(steps):
        value = rosenbrock(x)
        step = torch.linalg.solve(hessian(rosenbrock)(x), grad(rosenbrock)(x))
        while rosenbrock(x - step) > value and step.abs().max() > 1e-12:
            step = step / 2
        x = x - step
        losses.append(rosenbrock(x).item())
    return x, losses


def per_sample_gradients(rng):
    """The gradient of each sample's loss, at once."""
    model = reset(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double(), rng)
    params = {name: p.detach() for name, p in model.named_parameters()}
    x, y = torch.from_numpy(rng.standard_normal((6, 4))), torch.from_numpy(rng.standard_normal(6))

    def loss(params, x, y):
        return ((functional_call(model, params, (x.unsqueeze(0),)).squeeze() - y) ** 2).mean()

    each = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    first = grad(loss)(params, x[0], y[0])
    for name, gradient in first.items():
        assert torch.allclose(each[name][0], gradient)
    return each["0.weight"].flatten(1).norm(dim=1).tolist()


def main():
    args = arguments(__doc__, steps=15)
    rng = np.random.default_rng(args.seed)
    size = layer_jacobians(rng)
    start = torch.from_numpy(rng.uniform(-1, 1, 4))
    _, product = hvp(rosenbrock, start, torch.ones_like(start))
    assert torch.allclose(product, hessian(rosenbrock)(start) @ torch.ones_like(start))
    x, losses = newton(start, args.steps)
    print("minimum at", [round(v, 6) for v in x.tolist()])
    report(losses, jacobian=size, product=product.tolist(), per_sample=per_sample_gradients(rng))


if __name__ == "__main__":
    main()
