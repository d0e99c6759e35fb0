NAMES = ["a"]
NAMES += ["b"]
COUNT = 1
COUNT += 1
