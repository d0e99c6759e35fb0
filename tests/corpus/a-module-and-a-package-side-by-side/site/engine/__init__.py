from .fp8 import A
