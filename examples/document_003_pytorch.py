"""A PyTorch program in the form of document 003, with only its import changed.

python examples/document_003_pytorch.py
"""

import chainrule as torch
import chainrule.nn as nn  # noqa: PLR0402  as PyTorch programs write it

model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid())

X = torch.randn(100, 2)
y = torch.randint(0, 2, (100, 1)).float()

output = model(X)
loss = nn.BCELoss()(output, y)

loss.backward()

for name, param in model.named_parameters():
    print(f"{name} gradient: {param.grad.shape}")

optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
optimizer.step()
optimizer.zero_grad()
