"""The tokenizer: byte-level BPE with the split pattern that GGUF readers know as "qwen2"."""

import os
from pathlib import Path

from dialogue import Dialogue, segments
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 1024
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKUP = ("<think>", "</think>", "<tool_call>", "</tool_call>")
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END, *MARKUP)
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: list[str], path: Path) -> Tokenizer:
    """Learn the merges and save them. The result depends on the texts alone."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_QWEN2_SPLIT), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return tokenizer


def encode(tokenizer: Tokenizer, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Token ids, and for each whether the model is to learn to write it."""
    ids: list[int] = []
    learned: list[bool] = []
    for text, written in segments(dialogue):
        # Pieces meet at special tokens or newlines after them, so each can be encoded alone.
        piece = tokenizer.encode(text).ids
        ids.extend(piece)
        learned.extend([written] * len(piece))
    return ids, learned
