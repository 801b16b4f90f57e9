"""The examination of a program: run it watched, judge the evidence, try remedies, report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace

from ...errors import ChainruleError, IndexRangeError
from .case import ENOUGH, Case, rounded
from .evidence import Evidence, NonFinite, course
from .findings import SEVERITIES, Finding, Report, Tried
from .places import Place
from .recorder import Recorder
from .rules import RULES
from .search import Search
from .trials import Program, Trials, observed

_CONSEQUENCES = {
    "SYMMETRIC_INIT": {"VANISHING", "LR_TOO_LOW", "BAD_INIT_SCALE", "NO_GRADIENT", "LABELS",
                       "DEAD_RELU", "SATURATED"},
    "MISSING_ZERO_GRAD": {"LR_TOO_HIGH", "EXPLODING", "SATURATED", "DEAD_RELU"},
    "NOT_SHUFFLED": {"LR_TOO_LOW", "LR_TOO_HIGH", "LABELS", "DEAD_RELU"},
    "BROADCAST": {"DEAD_RELU", "LR_TOO_LOW", "LABELS", "LR_TOO_HIGH", "VANISHING"},
    "DOUBLE_SOFTMAX": {"LR_TOO_LOW", "LABELS", "VANISHING"},
    "LOSS_MISMATCH": {"LR_TOO_LOW", "LABELS", "VANISHING", "LR_TOO_HIGH", "SATURATED",
                      "DEAD_RELU"},
    "TRUNCATED_GRAPH": {"LR_TOO_LOW", "NO_GRADIENT", "NOT_OPTIMIZED", "LABELS", "FROZEN"},
    "NO_GRADIENT": {"LR_TOO_LOW", "LABELS", "FROZEN"},
    "NOT_OPTIMIZED": {"LR_TOO_LOW", "LABELS", "FROZEN", "NO_GRADIENT", "DEAD_RELU", "SATURATED",
                      "VANISHING", "BAD_INIT_SCALE"},
    "FROZEN": {"LR_TOO_LOW", "LABELS", "DEAD_RELU", "SATURATED", "VANISHING", "BAD_INIT_SCALE"},
    "VANISHING": {"LR_TOO_LOW", "LABELS"},
    "BAD_INIT_SCALE": {"LR_TOO_HIGH", "LABELS", "LR_TOO_LOW", "DEAD_RELU", "INPUT_SCALE"},
    "INPUT_SCALE": {"LR_TOO_HIGH", "LABELS", "DEAD_RELU", "LR_TOO_LOW"},
    "DEAD_RELU": {"LABELS", "LR_TOO_LOW", "NO_GRADIENT", "VANISHING"},
    "SATURATED": {"LABELS", "LR_TOO_LOW"},
    "LABELS": {"LR_TOO_LOW"},
    "LR_TOO_HIGH": {"LABELS", "SATURATED", "VANISHING"},
    "EXPLODING": {"LABELS"},
    "NON_FINITE": {"LABELS", "SATURATED"},
}  # fmt: skip
"""What a finding explains: these say no more than it does, and become notes."""


_OF_LABELS = ("LABELS", "NOT_SHUFFLED")
_CONTROL = 600
"""Steps of a control run, at most."""


def examine(
    program: Program, *, steps: int | None = None, try_all: bool = False, trials: bool = True
) -> Report:
    """Run `program` watched, for at most so many optimizer steps, and say what is wrong with it.

    Findings that only a trial can decide are tried unless `trials` is False, and then dropped; with
    `try_all` every remedy is tried. The program is run anew for each trial, for at most 120 steps.
    """
    recorder = Recorder(steps)
    start = time.perf_counter()
    failure = observed(program, recorder)
    seconds = time.perf_counter() - start
    recorder.finish()
    evidence = recorder.evidence
    _locate(evidence, program, trials)
    case = Case(evidence, failure)
    found, unjudged = _found(case)
    found += _of_failure(failure, evidence, found)
    count = len(evidence.updates)
    runner = Trials(program, count)
    kept = list(_decided(found, runner if trials else None, try_all, case))
    ranked = _ranked(_tempered(case, _explained(kept)))
    report = Report(ranked, evidence.samples, count, case_losses(evidence))
    report.failure = None if failure is None else _told(failure)
    report.notes += unjudged
    if count < ENOUGH and evidence.backwards:
        report.notes.append(
            f"not enough evidence to judge training: {count} of at least {ENOUGH} steps"
        )
    if seconds > 60:
        report.notes.append(f"the program took {seconds:.0f} s; --steps N ends it sooner")
    return report


def _found(case: Case) -> tuple[list[Finding], list[str]]:
    """What the rules find, and notes on those that fail: one does not take the rest with it."""
    found: list[Finding] = []
    notes = []
    for rule in RULES:
        try:
            found += rule.findings(case)
        except Exception as failure:  # noqa: BLE001  it is reported
            notes.append(f"{rule.code} could not be judged: {_told(failure)}")
    return found, notes


def _locate(evidence: Evidence, program: Program, trials: bool) -> None:
    """Find the operation behind a gradient that is not finite, in another run."""
    found = evidence.non_finite
    if found is None or not found.backward or not trials:
        return
    search = Search(ends=True)
    observed(program, search)
    culprit = search.culprit
    if culprit is not None:
        evidence.non_finite = NonFinite(
            found.update, f"the derivative of {culprit.operation}", culprit.place,
            culprit.operation, culprit.operands, culprit.backward,
        )  # fmt: skip


def case_losses(evidence: Evidence) -> list[float]:
    """The loss of every update."""
    return [u.loss for u in evidence.updates]


def _decided(
    found: Iterable[Finding], runner: Trials | None, try_all: bool, case: Case
) -> Iterable[Finding]:
    """The findings that stand: doubtful ones only if their remedy clearly helps."""
    reference = case.constant_loss(0)
    certain = {f.code for f in found if not f.doubtful and f.control is None}
    for finding in found:
        explained = any(finding.code in _CONSEQUENCES.get(code, ()) for code in certain)
        if finding.doubtful and (runner is None or explained):
            continue
        if finding.control is not None:
            if runner is None or explained or not _is_no_better(case, finding, runner):
                continue
            certain.add(finding.code)
        wanted = finding.doubtful or finding.unless_tried is not None
        if runner is not None and (wanted or (try_all and finding.severity != "note")):
            finding.tried = runner(finding)
        if finding.doubtful:
            if not _stands(finding, reference):
                continue
            certain.add(finding.code)
        if finding.unless_tried is not None and not _stands(finding, reference):
            finding.severity = finding.unless_tried
        yield finding


def _is_no_better(case: Case, finding: Finding, runner: Trials) -> bool:
    """Whether a control run gets rid of as much of the loss as the program does, or nearly."""
    series = case.evidence.series(0)[:_CONTROL]
    trial = finding.control()
    losses = runner.losses(trial, len(series))
    if not trial.relabelled:
        return False
    end, reference = course(losses).end, case.constant_loss(0)
    if len(losses) < len(series) or not math.isfinite(end):
        return False
    finding.evidence["loss_of_control"] = rounded(end)
    gained = reference - course(series).end
    return gained < 0.05 * reference or reference - end > 0.7 * gained


def _stands(finding: Finding, reference: float) -> bool:
    """Whether the remedy of a finding, tried, clearly helps."""
    tried = finding.tried
    return tried is not None and tried.helped and _is_large(tried, reference)


def _is_large(tried: Tried, reference: float) -> bool:
    """Whether a remedy changes the picture, rather than helping a little.

    What the program gets rid of in these steps must be less than half of what it does with it. Both
    are counted from the loss of a constant output, if that is less than the loss at the start.
    """
    if not math.isfinite(tried.before):
        return True
    start = min(tried.start, reference) if math.isfinite(reference) else tried.start
    gained, possible = start - tried.before, start - tried.after
    return possible > 0 and gained < 0.5 * possible


def _explained(found: list[Finding]) -> list[Finding]:
    """Consequences of other findings become notes."""
    codes = {f.code for f in found if f.severity != "note"}
    covered = {c for code in codes for c in _CONSEQUENCES.get(code, ())}
    return [
        replace(f, severity="note", tried=None) if f.code in covered and f.severity != "note" else f
        for f in found
    ]


def _tempered(case: Case, found: list[Finding]) -> list[Finding]:
    """What does not keep a program from a good result is a warning at most.

    Labels and their order are judged by themselves: samples can be learnt by heart.
    """
    if not case.is_good:
        return found
    return [
        replace(f, severity="warning") if f.severity == "error" and f.code not in _OF_LABELS else f
        for f in found
    ]


def _ranked(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: SEVERITIES.index(f.severity))


def _of_failure(
    failure: BaseException | None, evidence: Evidence, found: list[Finding]
) -> list[Finding]:
    """What the program's own error says about its data."""
    if not isinstance(failure, IndexRangeError) or "label" not in str(failure).lower():
        return []
    return [
        Finding(
            "LABELS", "error", failure.cause, "there is no score for such a label, and so no δ",
            "number the classes from 0 to C - 1, or give the network more outputs",
            {"expected": failure.expected, "got": failure.got},
            _place_of(failure, evidence),
        )
    ]  # fmt: skip


def _place_of(failure: BaseException, evidence: Evidence) -> Place:
    """The innermost line of the user's file that led to a failure."""
    place, trace = Place(), failure.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == evidence.last_place.file:
            place = Place(evidence.last_place.file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _told(failure: BaseException) -> str:
    message = str(failure) if not isinstance(failure, ChainruleError) else failure.cause
    return f"{type(failure).__name__}: {message}"[:400]
