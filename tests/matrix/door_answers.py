"""Run by an interpreter that has vLLM: what stands in the engine's tables before and after a mixture is seen, as JSON.

Arguments: a run folder, and the folder of an ordinary checkpoint.
"""

import json
import sys

OURS = "mixprec_runtime.adapters.vllm."


def loader(load_format: str = "auto") -> str:
    """The class of the loader that the engine would make."""
    from vllm.config import LoadConfig
    from vllm.model_executor.model_loader import get_model_loader

    try:
        return type(get_model_loader(LoadConfig(load_format=load_format))).__name__
    except ValueError:
        return "refused"


def state() -> dict[str, object]:
    """What an ordinary model would meet."""
    return {
        "auto": loader(), "dummy": loader("dummy"), "mixprec": loader("mixprec"),
        "imported": sorted(name.removeprefix(OURS) for name in sys.modules if name.startswith(OURS)),
    }  # fmt: skip


def main() -> None:
    run_folder, ordinary = sys.argv[1:]
    from vllm.config import LoadConfig, ModelConfig, VllmConfig
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    answers = {"installed": state()}
    plain = ModelConfig(model=ordinary, tokenizer=ordinary, skip_tokenizer_init=True, dtype="float16")
    config = VllmConfig.get_quantization_config(plain, LoadConfig())
    answers["ordinary"] = {**state(), "quantization": plain.quantization, "config": type(config).__name__}
    mixture = ModelConfig(model=run_folder, tokenizer=run_folder, skip_tokenizer_init=True, dtype="float16")
    config = VllmConfig.get_quantization_config(mixture, LoadConfig())
    answers["mixture"] = {**state(), "quantization": mixture.quantization, "config": type(config).__name__}
    from vllm.model_executor.model_loader import get_model_loader

    made = get_model_loader(LoadConfig())
    base = type(made).__mro__[1]
    answers["handed"] = {
        "mixture": type(made._loader_of(mixture)).__name__,
        "ordinary": type(made._loader_of(plain)).__name__, "base": base.__name__,
        "draft": get_model_loader(LoadConfig(load_format="mixprec")).load_config.load_format,
    }  # fmt: skip
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
