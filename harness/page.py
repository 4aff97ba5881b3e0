"""A study's report as Markdown: the words around numbers that `harness.summary` computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import CostRecord, StudyRecord
from harness.reference import added_gmacs
from harness.stats import BETTER, MIN_SEEDS, NOT_SHOWN, TOO_FEW, WORSE, Difference, Estimate
from harness.summary import Row, Summary

OPEN_CLASSES = 40
"""Per-class tables with more rows than this are folded."""


@dataclass(frozen=True)
class Figure:
    """A figure that was drawn: its file's stem, and what a reader should know about it."""

    stem: str
    title: str
    caption: str


def page(summary: Summary, figures: Sequence[Figure]) -> str:
    """The whole report of one study."""
    record = summary.record
    parts = [f"# {record.name}", f"**{record.question}**"]
    if record.source:
        parts.append(f"Source: {record.source}.")
    parts += [answer(summary), "## Results", *_accuracy(summary), *_cost(summary)]
    if figures:
        parts += ["## Figures", *(_figure(figure) for figure in figures)]
    parts += ["## How it was trained", *_training(record)]
    parts += ["## What is missing", _missing(summary)]
    parts += ["## Accuracy per class", *_per_class(summary)]
    parts += ["## How to recompute", _recompute(record)]
    return "\n\n".join(parts) + "\n"


def index(studies: Sequence[tuple[str, str, str]]) -> str:
    """The page that lists all reports of a folder. studies: (name, question, answer)."""
    rows = [[f"[{name}]({name}/README.md)", cell(question), cell(words)] for name, question, words in studies]
    return (
        "\n\n".join(
            [
                "<!-- written by harness.report -->",
                "# Reports",
                "One folder a study: the page, its numbers as CSV and JSON, its figures.",
                table(["study", "question", "answer"], rows, words=range(3)),
            ]
        )
        + "\n"
    )


def answer(summary: Summary) -> str:
    """The study's question answered in one sentence, as far as its numbers go, and what is still open."""
    trials = sum(row.planned for row in summary.rows)
    finished = sum(row.finished for row in summary.rows)
    sentences = [_verdict_sentence(summary)]
    if summary.best:
        sentences += _count_of_verdicts(summary)
    if finished < trials:
        sentences.append(f"{finished} of {trials} trials are finished, so this may change.")
    return " ".join(sentences)


def _verdict_sentence(summary: Summary) -> str:
    best, baseline = summary.best, summary.baseline
    if best is None:
        return "No trial has finished with an accuracy yet: nothing can be said."
    top1 = best.accuracy["top1"]
    head = f"has the highest mean top-1: {estimate(top1, ' %')}"
    if baseline is None or not baseline.accuracy["top1"].n:
        return (
            f"`{best.variant}` {head}, but the baseline `{summary.record.baseline}` has no finished trial: "
            "nothing can be said about differences to it."
        )
    if best.difference is None:
        sentence = f"No variant scores above the baseline: `{best.variant}` itself {head}"
    else:
        sentence = (
            f"`{best.variant}` {head}, {_against(best.difference, f'the baseline `{baseline.variant}`')}"
        )
    if summary.runner_up and summary.lead and summary.runner_up.difference is not None:
        sentence += f"; {_lead(summary.runner_up, summary.lead)}"
    return sentence + "."


def _against(difference: Difference, other: str) -> str:
    if not difference.n:
        return f"but shares no finished seed with {other}, so the two cannot be compared"
    gap = f"{points(difference)} against {other}"
    if difference.verdict == BETTER:
        return f"{gap}, which is more than luck between seeds explains"
    if difference.verdict == NOT_SHOWN:
        return f"{gap}, which luck between seeds can explain: no difference is shown"
    if difference.n < MIN_SEEDS:
        return f"{gap}, and with fewer than {MIN_SEEDS} paired seeds nobody can say how much of it is luck"
    return f"{gap}, the same for every seed, which is too few of them to tell how much is luck"


def _lead(runner_up: Row, lead: Difference) -> str:
    if not lead.n:
        return f"it shares no finished seed with the next, `{runner_up.variant}`"
    gap = f"it leads the next, `{runner_up.variant}`, by {points(lead)}"
    if lead.n < MIN_SEEDS:
        return f"{gap}, too few seeds to tell the two apart"
    if lead.p is not None and lead.p < 0.05:
        return f"{gap}, which sets the two apart if one forgets that they were picked after looking"
    return f"{gap}, so that these seeds do not tell the two apart"


def _count_of_verdicts(summary: Summary) -> list[str]:
    compared = [row.difference for row in summary.rows if row.difference]
    if len(compared) < 2:
        return []
    words = (BETTER, WORSE, NOT_SHOWN, TOO_FEW)
    counts = {word: sum(difference.verdict == word for difference in compared) for word in words}
    listed = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return [f"Against the baseline, of {len(compared)} variants: {listed}."]


def _accuracy(summary: Summary) -> list[str]:
    record, paper = summary.record, summary.reference
    header = ["variant", "top-1 [%]", f"vs {record.baseline} [points]", "verdict"]
    header += [_title(metric) for metric in summary.metrics[1:]]
    header += ["paper: top-1 [%]"] if paper else []
    rows = []
    for row in summary.rows:
        cells = [f"`{row.variant}`", _top1_cell(row), *_difference_cells(row)]
        cells += [estimate(row.accuracy[metric]) for metric in summary.metrics[1:]]
        cells += [number(row.paper.get("top1"))] if paper else []
        rows.append(cells)
    tested = sum(row.difference is not None and row.difference.p is not None for row in summary.rows)
    verdict = (
        "The verdict is stricter than the interval: it tests at the 5 % level after Holm's correction over "
        f"the {_plural(tested, 'row')} tested. No difference shown does not mean equal."
        if tested
        else "No row has enough paired seeds for a verdict."
    )
    notes = [
        "Accuracies are of the last epoch, on the validation clips; the best epoch of every trial is in "
        "`trials.csv`. n counts finished seeds; differences are paired by seed. ± and [ ] are 95 % t "
        "intervals over seeds, each row for itself, uncorrected; without one there are fewer than "
        f"{MIN_SEEDS} seeds, or all gave the same number. {verdict}",
    ]
    if paper:
        notes.append(_comparability(summary))
    return ["### Accuracy", table(header, rows, words=(0, 3)), *notes]


def _comparability(summary: Summary) -> str:
    paper, dataset = summary.reference, _dataset(summary.record)
    source = f"{paper['title']}, on {paper['dataset']} ({paper['protocol']})"
    if dataset == paper["dataset_key"]:
        return f"The paper's column is its {source}: the same data set, but compare the protocols first."
    return (
        f"The accuracies of this study are on the data set `{dataset}`. The paper's column is its {source}: "
        "another data set, so the two columns cannot be compared in absolute value."
    )


def _top1_cell(row: Row) -> str:
    if row.accuracy["top1"].n:
        return estimate(row.accuracy["top1"])
    word = next((w for w in ("failed", "running", "done") if row.status.get(w)), "not run")
    word = "no accuracy" if word == "done" else word
    return f"{word} ({row.finished} of {row.planned})"


def _difference_cells(row: Row) -> tuple[str, str]:
    if row.difference is None:
        return "baseline", "baseline"
    if not row.difference.n:
        return "-", row.difference.verdict
    return _interval(row.difference), row.difference.verdict


def _cost(summary: Summary) -> list[str]:
    if not summary.record.costs:
        return ["### Cost", "Not measured."]
    header = ["variant", "added parameters", "added MACs", "total MACs", "latency of one clip [ms]"]
    header += ["paper: MACs"] if summary.reference else []
    rows = []
    marks: list[str] = []
    for row in summary.rows:
        cost = row.cost
        cells = [f"`{row.variant}`"]
        if cost is None:
            cells += ["not measured"] * 4
        else:
            cells += [
                f"{cost.params_added:+,}",
                macs(cost.macs_added, sign="+"),
                macs(cost.macs_total),
                _latency(row),
            ]
        if summary.reference:
            printed = row.paper.get("gmacs")
            mark = ""
            if row.reproduced is False and cost:
                mark = f" ({chr(ord('a') + len(marks))})"
                marks.append(_not_reproduced(summary.reference, row, cost, mark))
            cells.append(f"{printed} G{mark}" if printed is not None else "-")
        rows.append(cells)
    return ["### Cost", table(header, rows), *marks, _cost_note(summary)]


def _not_reproduced(reference: dict[str, Any], row: Row, cost: CostRecord, mark: str) -> str:
    added, unit = added_gmacs(reference, row.variant) or (0.0, 1.0)
    decimals = len(str(unit).partition(".")[2]) if unit < 1 else 0
    return (
        f"{mark.strip()} `{row.variant}`: the paper's {row.paper['gmacs']} G is {added:+.{decimals}f} G over "
        f"its plain network; not reproduced: computed {macs(cost.macs_added, sign='+')}."
    )


def _cost_note(summary: Summary) -> str:
    costs = [row.cost for row in summary.rows if row.cost]
    note = f"Costs are for one clip: {geometry(costs)}. One multiply-add is 1 MAC; papers often print FLOPS."
    if "added_to" in summary.reference:
        network = summary.reference["added_to"]
        note += f" The paper counts from a plain network of {network} G; compared is what a variant adds."
    timed = [cost for cost in costs if cost.latency_ms]
    if not timed:
        return f"{note} Latency was not measured."
    note += " Latency is the median [quartiles] of n single passes after warm-up"
    places = {tuple(cost.measured_on.items()) for cost in timed}
    if len(places) > 1:
        return (
            f"{note}; variants were timed under different conditions (`results.json`): do not compare them."
        )
    where = ", ".join(f"{key} {value}" for key, value in timed[0].measured_on.items())
    return f"{note}, on {where}." if where else f"{note}."


def geometry(costs: Iterable[CostRecord]) -> str:
    """What costs were taken for, in words; a value that differs between variants is named as such."""
    every = [cost.geometry for cost in costs]

    def shared(key: str) -> Any:
        values = {str(one.get(key)): one.get(key) for one in every}
        return next(iter(values.values())) if len(values) == 1 else None

    backbone, frames, size = shared("backbone"), shared("num_frames"), shared("size")
    names = {"resnet18": "ResNet-18", "resnet34": "ResNet-34", "resnet50": "ResNet-50"}
    return ", ".join(
        [
            names.get(backbone, str(backbone)) if backbone else "each variant's own backbone",
            f"{frames} frames" if frames else "each variant's own number of frames",
            f"{size}x{size} pixels" if size else "each variant's own size",
        ]
    )


def _latency(row: Row) -> str:
    measured = row.latency_ms
    if measured is None:
        return "not measured"
    return f"{measured.median:.1f} [{measured.q1:.1f}, {measured.q3:.1f}] (n={measured.n})"


def _figure(figure: Figure) -> str:
    image = f"![{figure.title}](figures/{figure.stem}.png)"
    return f"{image}\n\n{figure.caption} ([SVG](figures/{figure.stem}.svg))"


def _training(record: StudyRecord) -> list[str]:
    described = {
        "data set": f"`{_dataset(record)}`",
        "seeds": ", ".join(map(str, record.seeds)),
    } | record.protocol
    facts = [[cell(key), cell(value)] for key, value in described.items()]
    facts += [[cell(key), cell(value)] for key, value in _environment(record)]
    keys = list(dict.fromkeys(key for one in record.differs.values() for key in one))
    parts = [table(["what", "how"], facts, words=range(2))]
    if keys:
        header = ["variant", *(f"`{key}`" for key in keys)]
        rows = [
            [f"`{variant}`", *(_setting(record.differs.get(variant, {}).get(key)) for key in keys)]
            for variant in record.variants
        ]
        parts += ["All variants are trained alike but for:", table(header, rows, words=range(len(header)))]
    parts.append("The resolved settings of every variant are in `results.json`.")
    return parts


def _environment(record: StudyRecord) -> list[tuple[str, str]]:
    """Where and with what trials ran; a value that differs between them is given as all it was.

    What the study was last asked with counts only where no trial says otherwise: asking again trains nothing.
    """
    found: dict[str, dict[str, None]] = {}
    for trial in record.trials:
        for key, value in trial.environment.items():
            found.setdefault(key, {})[str(value)] = None
    for key, value in record.environment.items():
        found.setdefault(key, {str(value): None})
    return [(key, _all_values(list(values))) for key, values in found.items()]


def _all_values(values: list[str]) -> str:
    try:
        numbers = sorted(values, key=float)
    except ValueError:
        return "; ".join(values)
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 2 else "; ".join(numbers)


def _missing(summary: Summary) -> str:
    lines = []
    for trial in summary.missing:
        reason = f": {cell(trial.reason)}" if trial.reason else ""
        word = {"missing": "not run", "running": "not finished"}.get(trial.status, trial.status)
        lines.append(f"- `{trial.variant}` seed {trial.seed}: {word}{reason}")
    for variant, seed in summary.unusable:
        lines.append(
            f"- `{variant}` seed {seed}: finished, but its top-1 is not a number, so it is in no mean"
        )
    for what, absent in (
        ("cost not measured", [row.variant for row in summary.rows if row.cost is None]),
        (
            "MACs not stated by its operator",
            [r.variant for r in summary.rows if r.cost and r.cost.macs_added is None],
        ),
        (
            "latency not measured",
            [row.variant for row in summary.rows if row.cost and row.latency_ms is None],
        ),
    ):
        if absent:
            lines.append(f"- {what}: {', '.join(f'`{variant}`' for variant in absent)}")
    trials = sum(row.planned for row in summary.rows)
    return "\n".join(lines) if lines else f"Nothing: all {_plural(trials, 'trial')} of the plan finished."


def _per_class(summary: Summary) -> list[str]:
    record = summary.record
    shown = [row for row in summary.rows if any(value.n for value in row.per_class.values())]
    if not shown:
        return ["Not measured."]
    groups = [*record.groups, *[""] * len(record.classes)]
    rows = [
        [cell(name), cell(group) or "-", *(estimate(row.per_class[name], plain=True) for row in shown)]
        for name, group in zip(record.classes, groups, strict=False)
    ]
    text = table(["class", "group", *(f"`{row.variant}`" for row in shown)], rows, words=(0, 1))
    if len(record.classes) > OPEN_CLASSES:
        text = f"<details><summary>{len(record.classes)} classes</summary>\n\n{text}\n\n</details>"
    return ["Mean top-1 [%] over the finished seeds (n).", text]


def _recompute(record: StudyRecord) -> str:
    stem, _, profile = record.name.partition("-")
    run = f"python -m harness.run studies/{stem}.yaml" + (f" --profile {profile}" if profile else "")
    return f"""From the beginning, where the study file is still the same:

```
{run}
python -m harness.report --out reports/ --study {record.name}
```

From the data beside this page, without training and without a tracking store: `results.json` holds every
trial, `trials.csv` one row a trial, `results.csv` one row a variant with all numbers at full precision.

```python
from pathlib import Path
from harness.report import read_record, write_study

write_study(read_record(Path("reports/{record.name}/results.json")), Path("reports/"))
```"""


def estimate(value: Estimate, unit: str = "", *, plain: bool = False) -> str:
    """`40.9 ± 0.5 (n=3)`; without an interval, or if `plain`, `40.9 (n=2)`; `-` without a value."""
    if not value.n:
        return "-"
    half = "" if value.half_width is None or plain else f" ± {value.half_width:.1f}"
    return f"{value.mean:.1f}{half}{unit} (n={value.n})"


def points(difference: Difference) -> str:
    """`+25.7 points [25.1, 26.3] (n=3)`."""
    gap = _signed(difference.mean)
    if difference.low is None or difference.high is None:
        return f"{gap} points (n={difference.n})"
    return f"{gap} points [{_plain(difference.low)}, {_plain(difference.high)}] (n={difference.n})"


def _interval(difference: Difference) -> str:
    return points(difference).replace(" points", "")


def macs(value: int | None, *, sign: str = "") -> str:
    """`+0.18 G`; millions below a hundredth of a G; `not stated` where an operator does not say."""
    if value is None:
        return "not stated"
    if value == 0:
        return f"{sign}0"
    if abs(value) < 1e7:
        return f"{value / 1e6:{sign},.2f} M"
    return f"{value / 1e9:{sign},.2f} G"


def number(value: float | None) -> str:
    """A published number as printed, or `-`."""
    return "-" if value is None else str(value)


def cell(text: Any) -> str:
    """Any text as one line that cannot break a Markdown table."""
    line = " ".join(str(text).split())
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[int] = (0,)) -> str:
    """A Markdown table. words: columns that hold words, aligned left; numbers are aligned right."""
    rule = [":--" if column in words else "--:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rows])


def _title(metric: str) -> str:
    name = {"top5": "top-5"}.get(metric, metric.removeprefix("group/"))
    return f"{name} [%]" if metric == "top5" else f"{cell(name)}: top-1 [%]"


def _setting(value: Any) -> str:
    if value is None:
        return "-"
    return cell(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)


def _dataset(record: StudyRecord) -> str:
    """The data set's key as the study gives it."""
    settings = record.settings.get(record.baseline) or next(iter(record.settings.values()), {})
    dataset = settings.get("data", {}).get("dataset", record.protocol.get("dataset", "unnamed"))
    return str(dataset.get("name", "unnamed") if isinstance(dataset, dict) else dataset)


def _plain(value: float) -> str:
    return f"{value:.1f}".replace("-0.0", "0.0") if abs(value) < 0.05 else f"{value:.1f}"


def _signed(value: float) -> str:
    return "+0.0" if abs(value) < 0.05 else f"{value:+.1f}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
