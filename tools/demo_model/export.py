"""Writing the GGUF file: weights, tokenizer and chat template in the form llama.cpp reads."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from llama import Llama, Shape
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokens import END_OF_TEXT, MARKUP, SPECIAL, TURN_END

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_Q8_0 = gguf.GGMLQuantizationType.Q8_0


def permuted(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of q or k from half-split to interleaved rotary order, as llama.cpp turns them."""
    rows, width = weight.shape
    pairs = weight.reshape(heads, 2, rows // heads // 2, width)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, width))


def _write_header(writer: gguf.GGUFWriter, shape: Shape, quantized: bool) -> None:
    writer.add_name("portico-demo")
    writer.add_description("A very small demo model, trained from scratch on generated text.")
    writer.add_license("apache-2.0")
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    kind = gguf.LlamaFileType.MOSTLY_Q8_0 if quantized else gguf.LlamaFileType.MOSTLY_F16
    writer.add_file_type(kind)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _token_type(token: str) -> gguf.TokenType:
    # The markup tokens are text a reader must see; the turn markers are control.
    if token in MARKUP:
        return gguf.TokenType.USER_DEFINED
    return gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([_token_type(token) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(model["vocab"][END_OF_TEXT])
    writer.add_eos_token_id(model["vocab"][TURN_END])
    writer.add_pad_token_id(model["vocab"][END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE.read_text(encoding="utf-8").rstrip("\n"))


def _write_tensor(
    writer: gguf.GGUFWriter, name: str, weight: NDArray[np.float32], quantized: bool
) -> None:
    if weight.ndim == 1:
        writer.add_tensor(name, weight)
    elif quantized:
        writer.add_tensor(name, gguf.quants.quantize(weight, _Q8_0), raw_dtype=_Q8_0)
    else:
        writer.add_tensor(name, weight.astype(np.float16))


def write_gguf(model: Llama, tokenizer: Tokenizer, path: Path, *, quantized: bool) -> None:
    """Q8_0 when `quantized`, else F16. The same model gives the same bytes."""
    writer = gguf.GGUFWriter(path, "llama")
    _write_header(writer, model.shape, quantized)
    _write_tokenizer(writer, tokenizer)
    heads = {"attn_q": model.shape.heads, "attn_k": model.shape.kv_heads}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = parameter.detach().float().numpy()
            part = name.split(".")[-2]
            if part in heads:
                weight = permuted(weight, heads[part])
            _write_tensor(writer, name, weight, quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
