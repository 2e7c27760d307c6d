"""A lesson of the tour, read from a TOML file: what is said, asked and run, and what answers it; of
the last one, which pattern is for what."""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tui.lab.dials import PRESETS
from tui.lab.experiments import EXPERIMENTS
from tui.lab.fields import Value
from tui.lab.records import Plan

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from tui.lab.bench import Experiment
    from tui.lab.results import Report

Figures = Mapping[str, Value]
"""What a report holds, by name: findings by their own, and of each run `pattern.field`, after the
run's name and a dot where it has one; hyphens are underscores."""
OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_PLANS = TypeAdapter(Plan)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class LessonError(ValueError):
    """A lesson's file is not one; the message names the file and the key."""


class Unknown(LookupError):
    """A figure that the run has not given: there is none of that name, or no value."""


def figures_of(report: Report) -> dict[str, Value]:
    """All figures of a report by their names."""
    found = {finding.name: finding.value for finding in report.findings}
    for run in report.runs:
        for row in run.rows():
            for name, value in row.items():
                parts = [part for part in (run.name, str(row["pattern"]), name) if part]
                found[re.sub(r"[^\w.]", "_", ".".join(parts))] = value
    return found


def evaluate(expression: str, figures: Figures) -> Any:
    """The value of a formula of figures, numbers, + - * /, comparisons, `and`, `or` and `not`.
    Raises Unknown; ValueError where it is no such formula."""
    return _value(_parsed(expression), figures)


def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"“{expression}” is no formula: {error.msg}") from None


def _value(node: ast.expr, figures: Figures | None) -> Any:
    """With no figures, 1 stands for each: that checks the formula alone."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return node.value
        case ast.Name() | ast.Attribute():
            name = ast.unparse(node)
            if figures is None:
                return 1.0
            if (found := figures.get(name)) is None:
                raise Unknown(name)
            return found
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left, figures), _value(right, figures))
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, figures)
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, figures)
        case ast.BoolOp(op, values):
            every = isinstance(op, ast.And)
            each = [bool(_value(one, figures)) for one in values]
            return all(each) if every else any(each)
        case ast.Compare(left, ops, comparators) if all(type(op) in OPERATORS for op in ops):
            terms = [_value(one, figures) for one in (left, *comparators)]
            pairs = zip(ops, terms, terms[1:], strict=False)
            return all(OPERATORS[type(op)](one, other) for op, one, other in pairs)
    raise ValueError(f"“{ast.unparse(node)}” is not allowed in a formula.")


def _formula(text: str) -> str:
    # Figures are not all numbers, and what is 0 here need not be there.
    with suppress(TypeError, ZeroDivisionError):
        _value(_parsed(text), None)
    return text


def _template(text: str) -> str:
    for formula in PLACEHOLDER.findall(text):
        _formula(formula)
    if "{" in (rest := PLACEHOLDER.sub("", text)) or "}" in rest:
        raise ValueError(f"“{text}” has a brace without its other one.")
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"(server|tui)(/\w+)+\.py", text):
        raise ValueError(f"“{text}” is no file of server or tui.")
    return text


def fill(template: str, figures: Figures, write: Callable[[Any], str]) -> str:
    """The template with its formulas in braces replaced by their values, a dash for what is
    unknown."""

    def value(found: re.Match[str]) -> str:
        try:
            return write(evaluate(found[1], figures))
        except (Unknown, ZeroDivisionError):
            return "–"

    return PLACEHOLDER.sub(value, template)


Formula = Annotated[str, AfterValidator(_formula)]
Template = Annotated[str, AfterValidator(_template)]
"""Text with formulas in braces."""
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Choice(_Part):
    """One answer of a question. Whether it is right the figures say."""

    text: Text
    expect: Formula
    """Holds where the answer is right."""
    shows: Template = ""
    """The figure that decides it, where it has one of its own."""

    def is_right(self, figures: Figures) -> bool | None:
        """None where the run has not given the figures for it."""
        try:
            return bool(evaluate(self.expect, figures))
        except (Unknown, ZeroDivisionError):
            return None


class Ask(_Part):
    """A question that is asked before the run."""

    question: Text
    answer: Template = ""
    """The figure that decides between all choices, where none has one of its own."""
    choices: Annotated[list[Choice], Field(min_length=2, max_length=5)]


class Run(_Part):
    """What is run: an experiment by its name."""

    experiment: str
    takes: int
    """Seconds, about, with the start of its servers."""
    race: bool = True
    """Whether it has runs that can be watched as a race."""

    @model_validator(mode="after")
    def _known(self) -> Run:
        if self.experiment not in EXPERIMENTS:
            known = ", ".join(EXPERIMENTS)
            raise ValueError(f"There is no experiment “{self.experiment}”. There are {known}.")
        return self


class Step(_Part):
    """What is said, what is asked, what is run, and what the figures say."""

    say: Text
    set: dict[str, Any] = {}
    """Dials of the experiment's plan, by their names there."""
    ask: Ask
    run: Run
    why: Template
    table: list[Text] = []
    """Names of the figures that are shown, where not all of them help."""
    sources: Annotated[list[Annotated[str, AfterValidator(_path)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_set(self) -> Step:
        try:
            plan = self.plan
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(("set", *(str(part) for part in first["loc"])))
            raise ValueError(f"{key}: {first['msg']}") from None
        known = {field.name for field in fields(Plan)} - {"experiment"}
        if unknown := sorted(set(self.set) - known):
            raise ValueError(f"set.{unknown[0]}: the dials are {', '.join(sorted(known))}")
        if plan.network not in PRESETS:
            raise ValueError(f"set.network: the networks are {', '.join(PRESETS)}")
        return self

    @property
    def experiment(self) -> Experiment:
        """What is run."""
        return EXPERIMENTS[self.run.experiment]

    @property
    def plan(self) -> Plan:
        """The experiment's, with the dials set."""
        return _PLANS.validate_python(asdict(self.experiment.plan) | self.set)


class Use(_Part):
    """A pattern, what it is used for, and why it and no other."""

    feature: Text
    pattern: Text
    why: Text


class Summary(_Part):
    """What the lessons come to, and where to go on from there."""

    say: Text
    uses: Annotated[list[Use], Field(min_length=1)]
    next: Text


class Lesson(_Part):
    """A title and its steps; of the last page, its summary."""

    title: Text
    steps: list[Step] = []
    summary: Summary | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Lesson:
        if bool(self.steps) == (self.summary is not None):
            raise ValueError("A lesson has either steps or a summary.")
        return self


def lessons(folder: Traversable | None = None) -> list[Lesson]:
    """Those of the package, or of a folder, in the order of their files' numbers. Raises
    LessonError."""
    folder = folder or files("tui.lab.lessons")
    named = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=_name)
    return [_lesson(one) for one in named]


def _name(file: Traversable) -> tuple[int, str]:
    """By their numbers, 10 after 9."""
    return len(file.name.partition("-")[0]), file.name


def _lesson(file: Traversable) -> Lesson:
    try:
        return Lesson.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise LessonError(
            f"{file.name}: {key}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except (OSError, ValueError) as error:
        raise LessonError(f"{file.name}: {error}") from None
