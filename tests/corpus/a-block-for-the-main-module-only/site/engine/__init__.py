if __name__ == "__main__":
    A = 1
if __name__ != "__main__":

    class B: ...
