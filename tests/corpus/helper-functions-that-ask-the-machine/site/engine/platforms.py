class Platform:
    def is_cuda(self):
        return len("x") == 1


def is_cuda():
    return current_platform.is_cuda()


def is_npu():
    return not is_cuda()


current_platform = Platform()
