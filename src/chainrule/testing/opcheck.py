"""``opcheck``: put one op, from the library or a user's own, through the whole contract."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.op import Op
from ..core.sampling import Draw, Sample
from ..errors import ArgumentError, GradientCheckError
from .cases import Case
from .contract import CHECKS, Check, Record, unused_needs


@dataclass(frozen=True)
class OpcheckResult:
    """What the contract found for one op; true if everything held, and prints as a report."""

    name: str
    samples: int
    counts: Counter[str]
    """Comparisons made, by check."""
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.ok

    @property
    def gradient_checks(self) -> int:
        """Comparisons of a first derivative with a difference."""
        return self.counts["jvp"] + self.counts["vjp"]

    @property
    def second_order_checks(self) -> int:
        """Comparisons of a second derivative with a difference."""
        return self.counts["second order"]

    def __str__(self) -> str:
        verdict = "passed" if self.ok else f"FAILED {len(self.failures)}"
        total = sum(self.counts.values())
        lines = [f"opcheck {self.name} {verdict}: {total} comparisons on {self.samples} samples"]
        lines += [f"  {check:<18} {n}" for check, n in self.counts.items()]
        lines += [f"  {failure}" for failure in self.failures[:10]]
        return "\n".join(lines)


def opcheck(
    op: Op | type[Op],
    *inputs: Draw,
    checks: Sequence[Check] = CHECKS,
    raise_on_failure: bool = True,
) -> OpcheckResult:
    """Check an op class on its own samples, or one op on the given draws of its inputs.

    Checked are the shape rule, the forward value (against ``expr`` in 30 digits or ``reference``),
    the local formulas, JVP and VJP against central differences, the adjoint identity, the second
    order, every subset of differentiated inputs, tensors against arrays, the declared residuals,
    memory layouts, float32, and what the op's family promises.

    Raises GradientCheckError with the first thing that does not hold, and ArgumentError for an op
    without samples; with ``raise_on_failure=False`` the result lists everything.

    >>> from chainrule.core.sampling import Draw
    >>> from chainrule.ops.arithmetic import MUL
    >>> opcheck(MUL, Draw((2, 3)), Draw((3,))).ok
    True
    """
    if isinstance(op, type):
        samples = samples_of(op)
    else:
        samples = [Sample(op, inputs)] if inputs else samples_of(type(op))
    result = run(samples, checks, needs=not inputs)
    if raise_on_failure and not result.ok:
        raise GradientCheckError(
            f"{result.name} breaks the contract of ops",
            got=result.failures[0],
            hint=f"{len(result.failures)} comparisons failed; "
            "print(opcheck(..., raise_on_failure=False)) lists them",
        )
    return result


def samples_of(cls: type[Op]) -> list[Sample]:
    """The samples of an op class. Raises ArgumentError if it has none."""
    try:
        samples = list(cls.samples())
    except NotImplementedError:
        samples = []
    if not samples:
        raise ArgumentError(
            f"{cls.name} says nowhere how it may be sampled",
            expected="a classmethod samples() that yields at least one Sample",
            hint="an op without samples is an op without tests",
        )
    return samples


def run(
    samples: Iterable[Sample], checks: Sequence[Check] = CHECKS, *, needs: bool = True
) -> OpcheckResult:
    """Run `checks` on each sample and count what was compared. An exception is a failure.

    With `needs`, the samples together are the op's own, and must use all that it keeps.
    """
    counts: Counter[str] = Counter()
    failures: list[str] = []
    cases: list[Case] = []
    name = "op"
    number = 0
    for number, sample in enumerate(samples, start=1):
        name = sample.op.name
        try:
            case = Case(sample, zlib.crc32(f"{name} {number}".encode()))
        except Exception as error:  # noqa: BLE001  an op may raise anything: it is reported
            failures.append(f"forward of {sample.op!r} {sample.inputs}: {_words(error)}")
            continue
        cases.append(case)
        for check in checks:
            for record in records(check, case):
                counts[record.check] += 1
                if record.wrong:
                    failures.append(f"{record.check} ({record.what}) of {case!r}: {record.wrong}")
    if needs and not failures:
        counts["needs are used"] += 1
        wasted = unused_needs(cases)
        if wasted:
            failures.append(f"needs: {wasted}")
    return OpcheckResult(name, number, counts, tuple(failures))


def records(check: Check, case: Case) -> Iterable[Record]:
    """The check's records; an exception that it meets becomes one that says so."""
    try:
        yield from check(case)
    except Exception as error:  # noqa: BLE001  a rule may raise anything: it is reported
        name = check.__name__.removeprefix("check_").replace("_", " ")
        yield Record(name, "raised", _words(error))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
