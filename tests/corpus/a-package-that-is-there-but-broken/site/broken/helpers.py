import absent


def helper(): ...
