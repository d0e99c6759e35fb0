class A:
	def __init__(self, a):
		if a:
			pass

def f(x,
		y=1):
	return x
