import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(219)
CONTEXT, ARMS = 6, 4
payoff = torch.randn(CONTEXT, ARMS)


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(CONTEXT, 32), nn.Tanh())
        self.actor = nn.Linear(32, ARMS)
        self.critic = nn.Linear(32, 1)

    def forward(self, s):
        h = self.body(s)
        return self.actor(h), self.critic(h).squeeze(-1)


agent = ActorCritic()
optimizer = torch.optim.RMSprop(agent.parameters(), lr=3e-3)
best = []
for update in range(300):
    s = torch.randn(64, CONTEXT)
    logits, value = agent(s)
    dist = torch.distributions.Categorical(logits=logits)
    arm = dist.sample()
    expected = (s @ payoff).gather(1, arm.unsqueeze(1)).squeeze(1)
    reward = expected + torch.randn(64)
    advantage = reward - value.detach()
    policy_loss = -(dist.log_prob(arm) * advantage).mean()
    value_loss = F.mse_loss(value, reward)
    loss = policy_loss + 0.5 * value_loss - 0.01 * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
    optimizer.step()

s = torch.randn(1000, CONTEXT)
with torch.no_grad():
    choice = agent(s)[0].argmax(1)
print("accuracy of choice", (choice == (s @ payoff).argmax(1)).float().mean().item())
