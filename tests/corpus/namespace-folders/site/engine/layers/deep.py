from .beside import A
