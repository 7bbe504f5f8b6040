"""The network: a small Llama, written out so that every weight has an obvious place in the GGUF.

Shapes: token ids (rows, length) in, logits (picked positions, vocabulary) out. Rotary positions use
the half-split layout of the published checkpoints; `export.py` permutes q and k for llama.cpp.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes a GGUF reader has to know. `context_tokens` is a field of the file, not a limit
    of the training: sequences longer than the ones trained on work, but badly."""

    vocabulary: int
    hidden: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 3
    feed_forward: int = 512
    rope_base: float = 100_000.0
    norm_epsilon: float = 1e-5
    context_tokens: int = 8192

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads


def rotary_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each (length, head_size), for positions 0..length-1."""
    half = torch.arange(0, shape.head_size, 2, dtype=torch.float32) / shape.head_size
    angles = torch.outer(torch.arange(length, dtype=torch.float32), shape.rope_base**-half)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn queries or keys (rows, heads, length, head_size) to their positions."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind an RMS norm and added back."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.kv_heads * shape.head_size
        self.attn_norm = nn.RMSNorm(shape.hidden, shape.norm_epsilon)
        self.attn_q = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.attn_k = nn.Linear(shape.hidden, kv_width, bias=False)
        self.attn_v = nn.Linear(shape.hidden, kv_width, bias=False)
        self.attn_output = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.hidden, shape.norm_epsilon)
        self.ffn_gate = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    @torch.no_grad()
    def lean_towards_copying(self) -> None:
        """Start where like attends to like and is passed on as it is.

        Most skills here are copying, and it appears in about a fifth fewer steps from this start.
        """
        groups = self.shape.heads // self.shape.kv_heads
        nn.init.normal_(self.attn_k.weight, std=0.06)
        nn.init.normal_(self.attn_v.weight, std=0.05)
        nn.init.normal_(self.ffn_down.weight, std=0.02 / (2 * self.shape.layers) ** 0.5)
        self.attn_q.weight.copy_(self._per_query_head(self.attn_k.weight, groups))
        self.attn_output.weight.copy_(0.3 * self._per_query_head(self.attn_v.weight, groups).T)

    def _per_query_head(self, weight: Tensor, groups: int) -> Tensor:
        heads = weight.view(self.shape.kv_heads, self.shape.head_size, self.shape.hidden)
        return heads.repeat_interleave(groups, dim=0).reshape(-1, self.shape.hidden)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.attend(self.attn_norm(x), cosine, sine)
        y = self.ffn_norm(x)
        gated: Tensor = functional.silu(self.ffn_gate(y)) * self.ffn_up(y)
        out: Tensor = x + self.ffn_down(gated)
        return out

    def attend(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        rows, length, _ = x.shape
        size, groups = self.shape.head_size, self.shape.heads // self.shape.kv_heads
        q = self.attn_q(x).view(rows, length, -1, size).transpose(1, 2)
        k = self.attn_k(x).view(rows, length, -1, size).transpose(1, 2)
        v = self.attn_v(x).view(rows, length, -1, size).transpose(1, 2)
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        # Written out: for rows this short the fused kernel's backward pass took twice the time of
        # all the rest of the layer.
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(2, 3)).float() / size**0.5
        mixed = scores.masked_fill(future, float("-inf")).softmax(dim=-1) @ v
        out: Tensor = self.attn_output(mixed.transpose(1, 2).reshape(rows, length, -1))
        return out


class Llama(nn.Module):
    """Embedding, blocks, final norm; the output head is the embedding again (tied)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.hidden)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.hidden, shape.norm_epsilon)
        self.apply(self._start_small)
        for module in self.modules():
            if isinstance(module, Block):
                module.lean_towards_copying()

    @staticmethod
    def _start_small(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: Tensor, picked: Tensor) -> Tensor:
        """Logits at the positions where `picked` (rows, length; bool) is true."""
        cosine, sine = rotary_tables(self.shape, tokens.shape[1])
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cosine, sine)
        return functional.linear(self.output_norm(x[picked]), self.token_embd.weight)
