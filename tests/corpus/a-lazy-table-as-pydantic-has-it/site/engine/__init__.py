from importlib import import_module

_dynamic_imports: "dict[str, tuple[str, str]]" = {
    "A": (__spec__.parent, ".q"),
    "B": ("other.core", "."),
    "C": ("other", ".core"),
}


def __getattr__(attr_name):
    dynamic_attr = _dynamic_imports.get(attr_name)
    if dynamic_attr is None:
        raise AttributeError(attr_name)
    package, module_name = dynamic_attr
    module = import_module(module_name, package=package) if module_name != "." else import_module(package)
    return getattr(module, attr_name)
