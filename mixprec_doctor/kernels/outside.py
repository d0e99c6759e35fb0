"""Outside: what packages that are not read answer to an engine's source: torch, the system, Python's own library."""

from __future__ import annotations

__all__ = ["Ask", "Outside"]

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels import builtins
from mixprec_doctor.kernels.device import Device
from mixprec_doctor.kernels.values import Builtin, External, Instance, Namespace, Raised, Unknown, text_of
from mixprec_doctor.source.attributes import has_attribute
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

# Whether an operator is registered: its namespace, its name, and how many arguments it is called with (None: any).
Ask = Callable[[str, str, "int | None"], "bool | None"]

_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1, "float4_e2m1fn_x2": 1, "int64": 8, "int32": 4,
    "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "uint16": 2, "uint32": 4, "uint64": 8,
}  # fmt: skip
_ALIASES = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "int": "int32",
    "long": "int64",
    "short": "int16",
}
_INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1)}
_LARGEST = {
    "float8_e4m3fn": 448.0, "float8_e4m3fnuz": 240.0, "float8_e5m2": 57344.0, "float8_e5m2fnuz": 57344.0,
    "float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38,
}  # fmt: skip
_CONSTANTS: dict[str, object] = {"math.pi": math.pi, "math.inf": math.inf, "typing.TYPE_CHECKING": False}
_CPU = {
    "torch.cpu._is_amx_tile_supported": ("amx_tile",),
    "torch._C._cpu._is_amx_tile_supported": ("amx_tile",),
    "torch.cpu._is_amx_fp16_supported": ("amx_fp16",),
    "torch.cpu._is_avx2_supported": ("avx2",),
    "torch.cpu._is_avx512_supported": ("avx512f", "avx512vl", "avx512bw", "avx512dq"),
    "torch.cpu._is_avx512_bf16_supported": ("avx512_bf16",),
    "torch.cpu._is_avx512_vnni_supported": ("avx512_vnni",),
    "torch.cpu._is_vnni_supported": ("avx512_vnni",),
    "torch.cpu._is_arm_bf16_supported": ("bf16",),
}
# Backends of torch: its own, and those that only a plugin for other hardware adds; asked where no torch is at hand.
_BACKENDS = {
    **dict.fromkeys(("cuda", "cpu", "xpu", "mps"), True),
    **dict.fromkeys(("npu", "hpu", "musa", "mlu"), False),
}
_TENSOR_MAKERS = {"torch.empty", "torch.zeros", "torch.ones", "torch.full", "torch.rand", "torch.randn"}
_PASSED_ON = {
    "functools.cache", "functools.lru_cache", "functools.wraps", "typing.cast", "copy.deepcopy", "copy.copy",
    "contextlib.nullcontext", "inspect.unwrap",
}  # fmt: skip
_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)(?:\.\w+)?")
_MEMBER = re.compile(r"\.[A-Z]\w*[a-z]\w*\.([A-Z][A-Z0-9_]*)$")  # QuantizationStrategy.CHANNEL: enums of texts


class Outside:
    """Answers for one device and one build of torch; what it does not model is unknown."""

    def __init__(self, sources: Sources, device: Device, *, ask: Ask | None = None) -> None:
        self.sources = sources
        self.device = device
        self.ask: Ask = ask or (lambda *_: None)
        self._own = self._models()
        self._known: dict[tuple[str, str], Truth] = {}
        self.dtype: str | None = None  # of activations: what torch.get_default_dtype() gives

    def value(self, name: str) -> object:
        """What a dotted name of such a package means."""
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        package, _, rest = name.partition(".")
        if package == "torch":
            return self._torch(name, rest)
        if package == "compressed_tensors" and (member := _MEMBER.search(name)) is not None:
            return member[1].lower()
        if name == "os.environ":
            return {}  # as if nobody had set anything
        if name == "sys.platform":
            return self.sources.platform or "linux"
        if name.startswith("sys.version_info"):
            version = (*(self.sources.python or (3, 11)), 0, 0)[:3]
            return version if name == "sys.version_info" else Unknown(name)
        return External(name)

    def _torch(self, name: str, rest: str) -> object:
        first, _, further = rest.partition(".")
        first = _ALIASES.get(first, first)
        if first in _SIZES:
            if not further:
                return External(f"torch.{first}")
            if further == "itemsize":
                return _SIZES[first]
            if further == "is_floating_point":
                return first.startswith(("float", "bfloat"))
            return Unknown(name)
        if rest in ("version.cuda", "version.hip", "version.xpu"):
            kind = {"version.cuda": "cuda", "version.hip": "rocm", "version.xpu": "xpu"}[rest]
            return "12.8" if self.device.kind == kind == "cuda" else Unknown(name) if self.device.kind == kind else None
        if rest == "__version__":
            return self._stated("torch.version", "__version__") or Unknown(name)
        return External(name)

    def _stated(self, module: str, name: str) -> str | None:
        found = re.search(
            rb"(?m)^%s\s*(?::[^=\n]*)?=\s*['\"]([^'\"]+)" % name.encode(), self.sources.text(module) or b""
        )
        return found[1].decode() if found else None

    def same(self, one: str, other: str) -> object:
        """Whether two names of such packages mean the same."""
        if one == other:
            return True
        if one.rpartition(".")[0] == other.rpartition(".")[0] and ".scalar_types." in one:
            return False  # types of weights, in a package that is not at hand
        both = [each.removeprefix("torch.") for each in (one, other)]
        if all(each in _SIZES for each in both):
            return False
        if (both[0] in _SIZES) is not (both[1] in _SIZES):
            return False
        return Unknown(f"{one} == {other}")

    def has(self, ev: Evaluator, value: Namespace | External, name: str) -> object:
        """``hasattr`` of a module: true, false or unknown."""
        unknown = Unknown(f"whether {value.name} has {name}")
        if isinstance(value, Namespace):
            found = ev.names.look_up(value.name, name)
            return unknown if isinstance(found, Unknown) else True
        if (operator := _OPERATOR.fullmatch(f"{value.name}.{name}")) is not None:
            there = self.ask(operator[1], operator[2], None)
            return unknown if there is None else there
        if value.name == "torch.ops":
            return True
        if value.name == "torch" and name in (*_SIZES, *_ALIASES):
            return True
        if value.name == "torch" and name in _BACKENDS and self.sources.text("torch") is None:
            return _BACKENDS[name]
        truth = self._has(value.name, name)
        return unknown if truth is Truth.UNKNOWN else truth is Truth.YES

    def _has(self, package: str, name: str) -> Truth:
        if (package, name) not in self._known:
            self._known[package, name] = has_attribute(package, name, self.sources)
        return self._known[package, name]

    def call(self, ev: Evaluator, name: str, given: list[Any], words: dict[str, Any]) -> object:
        """What a call gives."""
        if (operator := _OPERATOR.fullmatch(name)) is not None:
            ev.paths.called.append((f"{operator[1]}::{operator[2]}", len(given) + len(words), not ev.paths.assumed))
            return Unknown(f"{name}(...)")
        if name.startswith(("builtins.", "math.", "fractions.")):
            found = builtins.function(ev, name.removeprefix("builtins."), given, words)
            return Unknown(f"{name.removeprefix('builtins.')}(...)") if found is NotImplemented else found
        if name in _CPU:
            return self._feature(name)
        if name.startswith("torch.cuda."):
            return self._cuda(name)
        if name.startswith("torch.") and name.endswith(".is_available") and self.device.kind is not None:
            return False  # of another kind of accelerator than this machine's
        own = self._own.get(name)
        answer = own(ev, given, words) if own is not None else NotImplemented
        if answer is NotImplemented:
            return Unknown(
                f"{name}({', '.join(text_of(each) for each in given)})" if len(given) < 3 else f"{name}(...)"
            )
        return answer

    def _models(self) -> dict[str, Callable[[Evaluator, list[Any], dict[str, Any]], object]]:
        """Functions that are modelled, by their dotted names; NotImplemented is what they leave open."""
        return {
            "os.getenv": lambda ev, given, words: given[1] if len(given) > 1 else words.get("default"),
            "platform.machine": lambda *_: self.device.architecture or NotImplemented,
            "platform.system": lambda *_: "Linux",
            "importlib.util.find_spec": self._spec,
            "importlib.import_module": lambda ev, given, words: ev.names.imported(given[0], bound=given[0]),
            "contextvars.ContextVar": lambda ev, given, words: _context(words.get("default")),
            "torch.finfo": lambda ev, given, words: self._limits(given[0]),
            "torch.iinfo": lambda ev, given, words: self._limits(given[0]),
            "torch.get_default_dtype": lambda *_: External(f"torch.{self.dtype}") if self.dtype else NotImplemented,
            "torch.nn.Parameter": lambda ev, given, words: given[0] if given else NotImplemented,
            "torch.nn.parameter.Parameter": lambda ev, given, words: given[0] if given else NotImplemented,
            "torch.distributed.is_initialized": lambda *_: True,  # by every engine, before it makes a layer
            "functools.partial": _partial,
            "packaging.version.parse": lambda ev, given, words: _version(given[0]),
            "packaging.version.Version": lambda ev, given, words: _version(given[0]),
            **dict.fromkeys(_TENSOR_MAKERS, lambda ev, given, words: _tensor(given, words)),
            **dict.fromkeys(_PASSED_ON, _passed_on),
        }

    def _feature(self, name: str) -> object:
        known = self.device.has_flag(*_CPU[name])
        if known is False and name.endswith("_is_vnni_supported"):
            known = self.device.has_flag("avx_vnni")
        return Unknown(f"{name}()") if known is None else known

    def _spec(self, ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
        module = given[0] if given else None
        if not isinstance(module, str):
            return NotImplemented
        top = module.partition(".")[0]
        there = self.sources.has_module(module)
        if there is Truth.UNKNOWN:
            there = Truth.of(ev.truth(Unknown(f"whether {top} is installed")))
        return External(f"spec of {module}") if there is Truth.YES else None

    def _cuda(self, name: str) -> object:
        device, last = self.device, name.rpartition(".")[2]
        if last == "is_available":
            return device.kind in ("cuda", "rocm")
        if last == "device_count":
            return device.count
        if last == "current_device":
            return 0
        if last == "get_device_capability" and device.kind == "cuda" and device.capability is not None:
            return device.capability
        if last == "get_device_name" and device.name:
            return device.name
        if device.kind == "cpu" and last in ("get_device_capability", "get_device_properties"):
            raise Raised("RuntimeError", "there is no CUDA device")
        return Unknown(f"{name}()")

    def _limits(self, dtype: object) -> object:
        if not isinstance(dtype, External):
            return NotImplemented
        name = dtype.name.removeprefix("torch.")
        known = _INTEGERS.get(name) or ((-_LARGEST[name], _LARGEST[name]) if name in _LARGEST else None)
        if known is None:
            return NotImplemented
        bits = _SIZES[dtype.name.removeprefix("torch.")] * 8
        return Instance(None, {"min": known[0], "max": known[1], "bits": bits}, open=True)


def _tensor(given: list[Any], words: dict[str, Any]) -> Instance:
    """A tensor of which only shape and type are known."""
    shape = given[0] if given and isinstance(given[0], (tuple, list)) else words.get("size", tuple(given))
    known = {"shape": tuple(shape)} if isinstance(shape, (tuple, list)) else {}
    return Instance(None, {**known, "dtype": words.get("dtype", Unknown("a dtype"))}, open=True, name="tensor")


def _context(default: object) -> Instance:
    """A context variable that nobody has set."""
    return Instance(None, {"get": Builtin("get", lambda given, _: given[0] if given else default)}, open=True)


def _partial(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    return Builtin("partial", lambda more, extra: ev.call(given[0], [*given[1:], *more], {**words, **extra}))


def _passed_on(ev: Evaluator, given: list[Any], words: dict[str, Any]) -> object:
    """What only wraps or copies: its last argument."""
    return given[-1] if given else Builtin("a decorator", lambda more, _: more[0] if more else None)


def _version(text: object) -> object:
    """The release part of a version as a tuple: it compares like the version."""
    found = re.match(r"\d+(?:\.\d+)*", text) if isinstance(text, str) else None
    return tuple(int(part) for part in found[0].split(".")) if found else NotImplemented
