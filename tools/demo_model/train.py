"""Training: a fixed number of steps over a fixed stream of dialogues, on a fixed thread count."""

import itertools
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import corpus
import torch
from dialogue import Dialogue
from llama import Llama, Shape
from tokenizers import Tokenizer
from tokens import encode
from torch import Tensor, nn
from torch.nn import functional

THREADS = 2
BATCH_TOKENS = 4096
LONGEST_TOKENS = 640
_POOL_DIALOGUES = 2048
_COPYING_DIALOGUES = 9 * _POOL_DIALOGUES
_PEAK_ADAM, _PEAK_MUON = 3e-3, 5e-3
_WARMUP_STEPS = 60
_REPORT_EVERY_STEPS = 25


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length: inputs, the tokens that follow them, and which of those are learned."""

    inputs: Tensor
    targets: Tensor
    learned: Tensor


def _stack(rows: list[tuple[list[int], list[bool]]]) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    learned = torch.zeros(len(rows), width, dtype=torch.bool)
    for at, (row, mask) in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        learned[at, : len(row)] = torch.tensor(mask)
    return Batch(ids[:, :-1], ids[:, 1:], learned[:, 1:])


def _lessons() -> Iterator[Dialogue]:
    """Copying first: everything else is learned faster by a model that can copy."""
    early = corpus.dialogues(corpus.TRAIN_SEED, "train", corpus.COPYING_SHARES)
    yield from itertools.islice(early, _COPYING_DIALOGUES)
    yield from corpus.dialogues(corpus.TRAIN_SEED, "train")


def batches(tokenizer: Tokenizer) -> Iterator[Batch]:
    """Endless batches of about BATCH_TOKENS. Dialogues of like length share one, to pad little."""
    stream = _lessons()
    order = random.Random(corpus.TRAIN_SEED)
    while True:
        pool = [encode(tokenizer, next(stream)) for _ in range(_POOL_DIALOGUES)]
        pool = sorted(
            (row for row in pool if len(row[0]) <= LONGEST_TOKENS), key=lambda r: len(r[0])
        )
        cut: list[Batch] = []
        rows: list[tuple[list[int], list[bool]]] = []
        for row in pool:
            if rows and (len(rows) + 1) * len(row[0]) > BATCH_TOKENS:
                cut.append(_stack(rows))
                rows = []
            rows.append(row)
        cut.append(_stack(rows))
        order.shuffle(cut)
        yield from cut


def _optimizers(model: Llama) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms."""
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim == 1] + [model.token_embd.weight]
    muon = torch.optim.Muon(
        matrices, lr=_PEAK_MUON, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
    )
    adam = torch.optim.AdamW(rest, lr=_PEAK_ADAM, betas=(0.9, 0.98), weight_decay=0.0)
    return [(muon, _PEAK_MUON), (adam, _PEAK_ADAM)]


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: up, then along a cosine to a fiftieth."""
    if step < _WARMUP_STEPS:
        return (step + 1) / _WARMUP_STEPS
    progress = (step - _WARMUP_STEPS) / max(1, steps - _WARMUP_STEPS)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def _loss(model: Llama, batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs, batch.learned)
    return functional.cross_entropy(logits.float(), batch.targets[batch.learned])


def train(tokenizer: Tokenizer, steps: int) -> Llama:
    """A trained model. Prints step, loss and the time left."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(corpus.TRAIN_SEED)
    model = Llama(Shape(tokenizer.get_vocab_size()))
    optimizers = _optimizers(model)
    stream = batches(tokenizer)
    started_s, seen_tokens, average = time.perf_counter(), 0, 0.0
    for step in range(steps):
        batch = next(stream)
        loss = _loss(model, batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * _rate(step, steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seen_tokens += batch.inputs.numel()
        average = loss.item() if step == 0 else 0.95 * average + 0.05 * loss.item()
        if (step + 1) % _REPORT_EVERY_STEPS == 0 or step + 1 == steps:
            spent_s = time.perf_counter() - started_s
            left_s = spent_s / (step + 1) * (steps - step - 1)
            print(
                f"step {step + 1}/{steps}  loss {average:.4f}  {seen_tokens / 1e6:.2f} M tokens  "
                f"{seen_tokens / spent_s:.0f} tokens/s  {spent_s:.0f} s  eta {left_s:.0f} s",
                flush=True,
            )
    return model
