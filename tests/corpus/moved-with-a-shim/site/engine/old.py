"""Moved."""

from engine.new import *  # noqa: F403
from engine.new import _private
