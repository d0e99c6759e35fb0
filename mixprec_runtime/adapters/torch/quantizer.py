"""The quantizer ``mixprec`` of transformers: it makes a run folder's layers, and hands over the planned tensors.

transformers loads what ``from_pretrained`` names in four steps, and offers a quantizer a place in each of them:

* it reads the config, and asks the quantizer what to change in it: here, which file stands in for weights;
* it makes the model without memory: here, linear layers with a compressed source are replaced;
* it reads files and converts tensors by rules that a quantizer may add to: one rule gives all planned tensors;
* it ties what is tied, and tells what is missing.
"""

from __future__ import annotations

__all__ = ["MixprecQuantizationConfig", "MixprecQuantizer", "SeveralDevices", "register"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.core_model_loading import ConversionOps, WeightConverter
from transformers.quantizers.auto import (
    AUTO_QUANTIZATION_CONFIG_MAPPING,
    register_quantization_config,
    register_quantizer,
)
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.adapters.torch.filling import fill
from mixprec_runtime.adapters.torch.replacing import Replaced, replace_layers
from mixprec_runtime.method import METHOD
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.runfolder import STAND_IN, STAND_IN_TENSOR


class SeveralDevices(MixprecError):
    """A model that is to lie on more than one device."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"a mixture lies on one device, found the device map {self.found}\n  try: device_map='cpu', or 'cuda:0'"


class MixprecQuantizationConfig(QuantizationConfigMixin):
    """What a run folder's config says of its mixture."""

    def __init__(self, **raw: Any) -> None:  # noqa: ANN401  as JSON has it
        self.quant_method = METHOD
        self.raw: Mapping[str, Any] = {**raw, "quant_method": METHOD}

    def to_dict(self) -> dict[str, Any]:
        """The object as it stands in ``config.json``."""
        return dict(self.raw)


class _Nothing(ConversionOps):
    """A rule needs an operation; this one's tensors come from elsewhere."""

    def convert(self, input_dict: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """What it was given."""
        return input_dict


class _PlannedTensors(WeightConverter):
    """The rule that turns the one tensor of the stand-in into all tensors of the plan."""

    __slots__ = ()

    def convert(
        self,
        layer_name: str,
        model: Any = None,  # noqa: ANN401
        config: Any = None,  # noqa: ANN401
        hf_quantizer: Any = None,  # noqa: ANN401
        loading_info: Any = None,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> dict[str, torch.Tensor]:
        """Every parameter of the model, filled. Raises StrictLoadingError, through ``from_pretrained``."""
        self.collected_tensors.clear()
        found: dict[str, torch.Tensor] = hf_quantizer.load(model)
        return found


class MixprecQuantizer(HfQuantizer):
    """Compressed layers where the plan has them, and weights from the checkpoints that the plan names."""

    requires_calibration = True

    def __init__(self, quantization_config: MixprecQuantizationConfig, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(quantization_config, **kwargs)
        self.account: LoadAccount | None = None
        self._folder = Path()
        self._dtype = torch.bfloat16
        self._device = torch.device("cpu")
        self._replaced: Replaced | None = None

    def update_attn_implementation(self, config: Any) -> Any:  # noqa: ANN401
        """Name the file that stands in for weights. Without this quantizer there is none, and nothing is loaded.

        Of the calls before the files are looked for, releases give the config to one of these two or to both.
        """
        config.transformers_weights = STAND_IN
        return config

    def update_tp_plan(self, config: Any) -> Any:  # noqa: ANN401
        """The same."""
        return self.update_attn_implementation(config)

    def update_device_map(self, device_map: dict[str, Any] | None) -> dict[str, Any] | None:
        """One device. Raises SeveralDevices."""
        if device_map is None:
            return None
        if isinstance(device_map, str) or len(set(device_map.values())) != 1:
            raise SeveralDevices(str(device_map))
        self._device = torch.device(next(iter(device_map.values())))
        return device_map

    def _process_model_before_weight_loading(
        self,
        model: Any,  # noqa: ANN401
        dtype: torch.dtype | None = None,
        checkpoint_files: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        self._folder = Path((checkpoint_files or [model.config.name_or_path])[0]).parent
        self._dtype = dtype or torch.get_default_dtype()
        raw = self.quantization_config.raw
        with torch.device("meta"):
            self._replaced = replace_layers(model, self._folder, raw, dtype=self._dtype, device=self._device)
        return model

    def update_weight_conversions(self, weight_conversions: list[Any], *_: Any) -> list[Any]:  # noqa: ANN401
        """One rule for all; those of the model's checkpoints were used to name the tensors.

        Later releases give the model too.
        """
        assert self._replaced is not None  # noqa: S101  transformers makes the model first
        return [_PlannedTensors(STAND_IN_TENSOR, self._replaced.first, operations=[_Nothing()])]

    def load(self, model: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
        """Fill the model strictly; its parameters by name. Raises StrictLoadingError, RunFolderError."""
        assert self._replaced is not None  # noqa: S101
        filled = fill(model, self._folder, self._replaced, dtype=self._dtype, device=self._device)
        self.account = filled.account
        return filled.parameters

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        """A mixture is written by its mix file, not by ``save_pretrained``."""
        return False

    @property
    def is_trainable(self) -> bool:
        """No gradient goes through the kernels."""
        return False


def register() -> None:
    """Make ``mixprec`` known to transformers; a second time does nothing."""
    if METHOD not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        register_quantization_config(METHOD)(MixprecQuantizationConfig)
        register_quantizer(METHOD)(MixprecQuantizer)
