from engine.a import A
