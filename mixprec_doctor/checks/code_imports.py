"""MP203: an import of the code that was asked about names what the environment does not have."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterator, Mapping, Sequence

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.lending import lenders_of
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.resolving.borrowing import Borrowed
from mixprec_doctor.source.exports import Unbound
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.attributes import taken_attributes
from mixprec_doctor.usercode.code import MAIN
from mixprec_doctor.usercode.moved import homes_of_module, homes_of_name, names_like


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None:
        return
    for statement, module in code.imported_modules():
        sources = code.exports.sources
        if sources.has_module(module.partition(".")[0]) is not Truth.YES:
            continue  # not installed at all: MP204
        names = tuple(alias.name for alias in statement.names) if isinstance(statement, ast.ImportFrom) else ()
        if sources.has_module(module) is Truth.NO:
            yield _no_module(code, statement, module, names, patient)
            continue
        for name in names:
            origin = code.exports.look_up(module, name) if name != "*" else None
            if isinstance(origin, Unbound):
                yield _no_name(code, statement, module, name, origin.fault, patient)
    for taken in taken_attributes(code.parsed.tree, code.exports.sources):
        origin = code.exports.look_up(taken.module, taken.name)
        if isinstance(origin, Unbound) and not taken.name.startswith("__"):
            yield _no_name(code, taken.node, taken.module, taken.name, origin.fault, patient)


def _no_module(code: UserCode, statement: ast.stmt, module: str, names: tuple[str, ...], patient: Patient) -> Finding:
    package = module.partition(".")[0]
    names = tuple(name for name in names if name != "*")
    homes = homes_of_module(module, names, code.exports)
    places = {name: homes or homes_of_name(name, module, code.exports) for name in names}
    roles = {} if homes else {name: _successors(module, name, patient) for name, found in places.items() if not found}
    wanted = ", ".join(names)
    evidence = [_line(code, statement)]
    evidence += [f"{home} is there{f' and has {wanted}' if wanted else ''}" for home in homes]
    if not homes:
        evidence += [f"{place} defines {name}" for name, found in places.items() for place in found]
    gone = tuple(name for name, found in places.items() if not found)
    if homes or (names and not gone):
        remedy = Remedy(
            text=f"import it from where this release has it, or install a release that has {module}",
            commands=_imports(places),
        )
    else:
        remedy = _other_release(package, module, gone or (None,), statement, patient, _imports(places), roles)
    return Finding(
        code="MP203",
        severity=Severity.ERROR,
        engine=_engine(package, patient),
        summary=f"{_release(package, patient)} has no module {module}",
        cause="modules move between releases; this path is not one of the release that is installed",
        evidence=tuple(evidence),
        remedy=remedy,
        subjects=(module,),
    )


def _no_name(
    code: UserCode, statement: ast.stmt | ast.expr, module: str, name: str, fault: str, patient: Patient
) -> Finding:
    package = module.partition(".")[0]
    homes = homes_of_name(name, module, code.exports)
    alike = names_like(name, module, code.exports)
    if homes:
        remedy = Remedy(text="import it from where this release defines it", commands=_imports({name: homes}))
    elif alike:
        remedy = Remedy(
            text=f"{name} is nowhere in this release of {package}; {module} has {', '.join(alike)}",
            commands=_imports({alike[0]: (module,)}),
        )
    else:
        remedy = _other_release(
            package, module, (name,), statement, patient, (), {name: _successors(module, name, patient)}
        )
    return Finding(
        code="MP203",
        severity=Severity.ERROR,
        engine=_engine(package, patient),
        summary=f"{module} of {_release(package, patient)} has no {name}",
        cause=fault,
        evidence=(_line(code, statement), *(f"{home} defines {name}" for home in homes)),
        remedy=remedy,
        subjects=(f"{module}.{name}",),
    )


def _successors(module: str, name: str, patient: Patient) -> tuple[Resolution, ...]:
    """What does in this release what the name did in others: roles looked for under it and found elsewhere."""
    return tuple(
        each
        for each in patient.roles.get(module.partition(".")[0], ())
        if each.status is Status.FOUND
        and each.import_line is not None
        and any(attempt.path == f"{module}.{name}" for attempt in each.tried)
    )


def _imports(places: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """One import for each module that some names are to be taken from."""
    names: dict[str, list[str]] = {}
    for name, found in places.items():
        if found:
            names.setdefault(found[0], []).append(name)
    return tuple(f"from {place} import {', '.join(each)}" for place, each in names.items())


def _other_release(
    package: str,
    module: str,
    names: Sequence[str | None],
    statement: ast.stmt | ast.expr,
    patient: Patient,
    imports: tuple[str, ...],
    roles: Mapping[str, Sequence[Resolution]],
) -> Remedy:
    """What is in no module of this release: the releases on the index that have it where the code looks for it."""
    wanted = ", ".join(f"{module}.{name}" if name else module for name in names)
    asked = [Borrowed(module=module, name=name, asker=MAIN, line=statement.lineno) for name in names]
    found = lenders_of(asked, package, patient) if patient.engine(package) else None
    nowhere = f"this release of {package} has no {wanted}, nor anything of that name elsewhere"
    for name, successors in roles.items():
        for each in successors[:1]:
            nowhere += f"; {each.name} of {each.module} took the place of {name}"
            imports += (f"{each.import_line} as {name}",)
    if found is None or not found.read:
        return Remedy(text=f"{nowhere}: use a release that has it, or what took its place", commands=imports)
    if found.best is None:
        return Remedy(
            text=f"{nowhere}; none of the {len(found.read)} releases of {found.distribution} on the index has it",
            commands=imports,
        )
    install = f"{installer(patient.environment)} install '{found.distribution}=={found.best}'"
    return Remedy(text=f"{nowhere}: use what took its place, or another release: {found}", commands=(*imports, install))


def _line(code: UserCode, statement: ast.stmt | ast.expr) -> str:
    return f"{code.place}, line {statement.lineno}: {code.line(statement)}"


def _engine(package: str, patient: Patient) -> str | None:
    return package if patient.engine(package) else None


def _release(package: str, patient: Patient) -> str:
    """``sglang 0.5.3``, as far as the metadata says."""
    owner = next(iter(patient.environment.owners(package)), None) or patient.environment.find(package)
    return f"{package} {owner.version}" if owner and owner.version else f"the installed {package}"


CHECK = Check(
    code="MP203",
    title="A module or name that is not in this release",
    promise="The code that was asked about imports a module or name that the installed release does not have.",
    explanation=(
        "Only with `--code`. Every import of the code that no `try` guards, and every name that it takes from an "
        "imported module as `module.name`, is followed through the source of the installed package: the module, then "
        "the name in it, through re-exports and lazy tables. What is missing is looked for in the rest of the "
        "package: a module of the same last name, a definition of the same name, a name spelt nearly so; and what is "
        "nowhere in it, in the releases on the index."
    ),
    example=(
        "`from sglang.srt.hf_transformers_utils import get_tokenizer` with SGLang 0.5.3, which has that module in "
        "`sglang.srt.utils`."
    ),
    cure="Import from where the finding says, or use `mixprec_doctor.load`, which asks for the role and not the path.",
    find=_find,
    about_code=True,
)
