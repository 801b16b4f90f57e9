"""A small GPT on the characters of Hamlet: causal attention, warm-up, cosine decay, generation."""

import math

import numpy as np
import torch
import torch.nn as nn  # noqa: PLR0402  as PyTorch programs write it
from common import HERE, arguments, report, reset
from torch.nn import functional as F


class CausalSelfAttention(nn.Module):
    """Every place looks at itself and at what was before it."""

    def __init__(self, width, heads, context):
        super().__init__()
        assert width % heads == 0
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        mask = torch.tril(torch.ones(context, context)).view(1, 1, context, context)
        self.register_buffer("mask", mask)

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(C, dim=2)
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        scores = scores.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
        y = F.softmax(scores, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    """Attention and a multilayer perceptron, each on a normalised copy."""

    def __init__(self, width, heads, context):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, context)
        self.mlp = nn.ModuleDict(
            {"up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width)}
        )

    def forward(self, x):
        x = x + self.attention(self.ln1(x))
        return x + self.mlp["down"](F.gelu(self.mlp["up"](self.ln2(x))))


class GPT(nn.Module):
    """Token and position embeddings, blocks, a head that shares the token embedding."""

    def __init__(self, characters, width=48, heads=4, layers=2, context=32):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(characters, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads, context) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)
        self.head.weight = self.token.weight

    def forward(self, ids, targets=None):
        places = torch.arange(0, ids.size(1), dtype=torch.long, device=ids.device).unsqueeze(0)
        x = self.token(ids) + self.position(places)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))

    @torch.no_grad()
    def generate(self, ids, count, rng, top_k=8):
        """Go on with the text by one of the `top_k` likeliest characters at a time."""
        for _ in range(count):
            logits, _ = self(ids[:, -self.context :])
            logits = logits[:, -1, :]
            values, _ = torch.topk(logits, top_k)
            logits[logits < values[:, [-1]]] = -float("inf")
            below = F.softmax(logits, dim=-1).cumsum(-1)
            drawn = (below < rng.random()).sum(dim=-1, keepdim=True).clamp(max=below.size(-1) - 1)
            ids = torch.cat((ids, drawn), dim=1)
        return ids

    def configure(self, lr):
        """AdamW with decay for matrices only."""
        decay = [p for p in self.parameters() if p.dim() >= 2]
        plain = [p for p in self.parameters() if p.dim() < 2]
        groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))


def main():
    args = arguments(__doc__, steps=40, data=HERE / "data" / "hamlet.txt")
    rng = np.random.default_rng(args.seed)
    text = args.data.read_text(encoding="utf-8")
    characters = sorted(set(text))
    code = {c: i for i, c in enumerate(characters)}
    data = torch.tensor([code[c] for c in text])
    model = reset(GPT(len(characters)), rng)
    optimizer = model.configure(lr=3e-3)
    warm = 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / args.steps)),
    )
    losses = []
    for _ in range(args.steps):
        starts = rng.integers(0, len(data) - model.context - 1, 8)
        x = torch.stack([data[i : i + model.context] for i in starts])
        y = torch.stack([data[i + 1 : i + 1 + model.context] for i in starts])
        _, loss = model(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    written = model.generate(torch.tensor([[code["H"]]]), 60, rng)
    print("".join(characters[i] for i in written[0].tolist()))
    report(losses, parameters=sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main()
