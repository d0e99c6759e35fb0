from engine import A
