from engine.bad.deep import A
