import collections
import threading
from abc import ABC
from enum import Enum


class B(ABC): ...


class C(threading.Thread): ...


class Own(threading.Thread):
    def __init__(self, own): ...


class A(Exception):
    code = 1
