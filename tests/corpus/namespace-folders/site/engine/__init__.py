from engine.layers.deep import A
