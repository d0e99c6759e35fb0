"""What kind of module a checkpoint name stands for, as far as headers and config tell."""

from __future__ import annotations

__all__ = ["CLASSES", "class_name", "class_names", "is_derived", "is_linear"]

from collections.abc import Mapping

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.language import language_config

OUTPUT_HEADS = frozenset({"lm_head", "output", "embed_out", "output_layer"})
EMBEDDINGS = frozenset({"embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "embed_in"})
CLASSES = ("Linear", "Embedding")
"""Names of classes that targets may be; norms and the like are named one by one."""
DERIVED = frozenset({"inv_freq", "cos_cached", "sin_cached"})


def class_name(module: str, weights: ModuleWeights, *, vocab_size: int | None) -> str | None:
    """``Linear``, ``Embedding`` or None (norms, convolutions and the like), as rules name classes.

    A packed weight is a linear one. A plain matrix is linear too, unless its name is an embedding's, or it has a
    row per token of the vocabulary and is not the output head: that is the input embedding. A stack of experts stands
    for the linear layers in it.
    """
    if weights.format.kind is not FormatKind.PLAIN or expert_layer(module) == module:
        return "Linear"
    if len(weights.shape) != 2:
        return None
    leaf = module.rpartition(".")[2]
    if leaf in EMBEDDINGS or (weights.shape[0] == vocab_size and leaf not in OUTPUT_HEADS):
        return "Embedding"
    return "Linear"


def class_names(weights: Mapping[str, ModuleWeights], config: Mapping[str, object]) -> dict[str, str | None]:
    """The classes of all modules of a base model with that config."""
    vocab = language_config(config).get("vocab_size")
    vocab_size = vocab if isinstance(vocab, int) else None
    return {module: class_name(module, each, vocab_size=vocab_size) for module, each in weights.items()}


def is_linear(module: str, weights: ModuleWeights, *, vocab_size: int | None) -> bool:
    """Whether ``default`` applies to the module."""
    return class_name(module, weights, vocab_size=vocab_size) == "Linear"


def is_derived(name: str, config: Mapping[str, object]) -> bool:
    """Tensors that a model computes itself and that some tools save all the same.

    Rotary tables follow from the config; a tied output head is the input embedding under a second name.
    """
    module, _, suffix = name.rpartition(".")
    if suffix in DERIVED:
        return True
    return (
        module in ("lm_head", "language_model.lm_head") and language_config(config).get("tie_word_embeddings") is True
    )
