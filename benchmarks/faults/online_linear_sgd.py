import random

import torch

random.seed(151)
torch.manual_seed(151)
true_w, true_b = torch.tensor([2.0, -3.4, 0.7]), 4.2
features = torch.randn(300, 3)
labels = features @ true_w + true_b + 0.01 * torch.randn(300)

w = torch.normal(0, 0.01, size=(3,), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 0.03

order = list(range(300))
random.shuffle(order)
for i in order:
    loss = (features[i] @ w + b - labels[i]) ** 2 / 2
    loss.sum().backward()
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
        w.grad.zero_()
        b.grad.zero_()
with torch.no_grad():
    print("mse", ((features @ w + b - labels) ** 2).mean().item())
