"""The machine, looked at once, from files of the kernel and the driver's own tool."""

__all__ = ["read_machine"]

from mixprec_doctor.machine.reading import read_machine
