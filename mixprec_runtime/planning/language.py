"""The language model's own keys of a config: where a model has several modalities they lie one level down."""

from __future__ import annotations

__all__ = ["INNER_KEYS", "language_config"]

from collections.abc import Mapping

INNER_KEYS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where configs of transformers, of InternVL and DeepSeek, and of Qwen-Omni keep those of the language model."""


def language_config(config: Mapping[str, object]) -> Mapping[str, object]:
    """The config with the language model's keys on its first level, where they take precedence."""
    for key in INNER_KEYS:
        inner = config.get(key)
        if isinstance(inner, Mapping):
            return {**config, **language_config(inner)}
    return config
