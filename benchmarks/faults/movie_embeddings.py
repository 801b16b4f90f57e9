import torch
import torch.nn as nn

torch.manual_seed(139)
USERS, MOVIES, TRUE_DIM = 80, 60, 3
u_true, m_true = torch.randn(USERS, TRUE_DIM), torch.randn(MOVIES, TRUE_DIM)
users = torch.randint(0, USERS, (3000,))
movies = torch.randint(0, MOVIES, (3000,))
ratings = 3 + (u_true[users] * m_true[movies]).sum(1) + 0.2 * torch.randn(3000)


class Factorisation(nn.Module):
    def __init__(self, dim=6):
        super().__init__()
        self.user = nn.Embedding(USERS, dim)
        self.movie = nn.Embedding(MOVIES, dim)
        self.user_bias = nn.Embedding(USERS, 1)
        self.mean = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.user.weight, std=0.3)
        nn.init.normal_(self.movie.weight, std=0.3)
        nn.init.zeros_(self.user_bias.weight)

    def forward(self, u, m):
        return (self.user(u) * self.movie(m)).sum(1) + self.user_bias(u).squeeze(1) + self.mean


model = Factorisation()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2, weight_decay=1e-4)
loss_fn = nn.MSELoss()
for epoch in range(8):
    for idx in torch.randperm(2600).split(100):
        optimizer.zero_grad()
        loss = loss_fn(model(users[idx], movies[idx]), ratings[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("test mse", loss_fn(model(users[2600:], movies[2600:]), ratings[2600:]).item())
