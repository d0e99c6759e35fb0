"""Import names that say nothing of their distribution, as data; a test derives each again from the index."""

from __future__ import annotations

__all__ = ["DISTRIBUTIONS_OF"]

from collections.abc import Mapping

# Import name -> the distributions whose wheels hold it, by normalized names. Only what engines import and
# what cannot be had by normalizing the import name. Where several stand, metadata has to say which.
DISTRIBUTIONS_OF: Mapping[str, tuple[str, ...]] = {
    "PIL": ("pillow",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cpuinfo": ("py-cpuinfo",),
    "cuda.bindings": ("cuda-bindings",),
    "cv2": ("opencv-python-headless", "opencv-python"),
    "dateutil": ("python-dateutil",),
    "decord": ("decord2", "decord"),
    "dns": ("dnspython",),
    "dotenv": ("python-dotenv",),
    "flashinfer": ("flashinfer-python",),
    "git": ("gitpython",),
    "google.protobuf": ("protobuf",),
    "grpc": ("grpcio",),
    "grpc_health": ("grpcio-health-checking",),
    "grpc_reflection": ("grpcio-reflection",),
    "jwt": ("pyjwt",),
    "lmformatenforcer": ("lm-format-enforcer",),
    "markdown_it": ("markdown-it-py",),
    "multipart": ("python-multipart",),
    "openai_harmony": ("oss-harmony", "openai-harmony"),
    "opentelemetry.exporter": ("opentelemetry-exporter-otlp",),
    "opentelemetry.sdk": ("opentelemetry-sdk",),
    "opentelemetry.semconv_ai": ("opentelemetry-semantic-conventions-ai",),
    "opentelemetry.trace": ("opentelemetry-api",),
    "pynvml": ("nvidia-ml-py",),
    "pythonjsonlogger": ("python-json-logger",),
    "quack": ("quack-kernels",),
    "rpds": ("rpds-py",),
    "sgl_kernel": ("sglang-kernel", "sgl-kernel"),
    "sklearn": ("scikit-learn",),
    "tvm_ffi": ("apache-tvm-ffi",),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
}
