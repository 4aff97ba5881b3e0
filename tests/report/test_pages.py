"""One content, three renderings: exact Markdown and LaTeX of a fixed study, and pages as a browser shows them."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from builders.ladders import ladder
from builders.place import ROOT, Workplace
from builders.studies import full_study, small_study, study, trial
from screenshots import browse, chromium, measured, pages, phone, seated, served

from harness.report.__main__ import main
from harness.report.document.blocks import Cell, Code, Document, Figure, Heading, Items, Paragraph, Table
from harness.report.document.html import html
from harness.report.document.latex import latex
from harness.report.document.markdown import markdown
from harness.report.write import write_study
from harness.tracking.descriptions import describe_study
from harness.tracking.network import card

NASTY = "a|b <i>c</i> *d* \\e 50 % & x_y"
SAMPLE = Document(
    "A `study`",
    [
        Paragraph("Is it so?", "question"),
        Heading(2, "Results"),
        Table(
            header=["variant", "top-1 [%]", "note"],
            rows=[["`ks|3`", Cell("73.0 ± 7.5", strong=True), NASTY], ["`tsn`", "-0.3 [-1.0, 0.4]", "[x] é"]],
            words=(0, 2),
            label="accuracy",
            caption="Of 50 %.",
            notes=["(a) why"],
        ),
        Items(["one", "two < three"]),
        Code("run --it", ""),
        Figure("cost", "Cost", "What it costs."),
    ],
    marks=["made here"],
)
MARKDOWN = r"""<!-- made here -->

# A `study`

**Is it so?**

## Results

| variant | top-1 [%] | note |
| :-- | --: | :-- |
| `ks\|3` | **73.0 ± 7.5** | a\|b &lt;i>c&lt;/i> \*d\* \\e 50 % & x_y |
| `tsn` | -0.3 [-1.0, 0.4] | [x] é |

(a) why

- one
- two &lt; three

```
run --it
```

![Cost](figures/cost.png)

What it costs. ([SVG](figures/cost.svg))
"""
LATEX = r"""\begin{table}[t]
\centering
\caption{Of 50 \%.}
\label{tab:s-accuracy}
\footnotesize
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
\begin{tabular}{lrl}
\toprule
variant & top-1 [\%] & note \\
\midrule
\texttt{ks$|$3} & \textbf{73.0 $\pm$ 7.5} & a$|$b $<$i$>$c$<$/i$>$ *d* \textbackslash{}e 50 \% \& x\_y \\
\texttt{tsn} & $-$0.3 [$-$1.0, 0.4] & {[}x] é \\
\bottomrule
\end{tabular}}
\par\smallskip\parbox{\linewidth}{\scriptsize (a) why}
\end{table}
"""


def test_markdown_is_exactly_this() -> None:
    assert markdown(SAMPLE) == MARKDOWN


def test_latex_is_exactly_this() -> None:
    text = latex("s", SAMPLE.tables)
    assert text.startswith("% Tables of the study s.")
    assert text[text.index(r"\begin{table}") :] == LATEX


def test_a_whole_study_is_exactly_this_latex(tmp_path: Path) -> None:
    """Numbers by hand: see test_table_of_a_small_study_equals_one_computed_by_hand."""
    text = (write_study(small_study(), tmp_path) / "tables.tex").read_text(encoding="utf-8")
    body = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    assert body[0].splitlines() == [
        r"\texttt{tsn} & 3 of 3 & 22.0 $\pm$ 5.0 & baseline & baseline & 19.7 \\",
        r"\texttt{ks3} & 3 of 3 & \textbf{73.0 $\pm$ 7.5} & $+$51.0 [48.5, 53.5] & better & 45.9 \\",
    ]
    assert body[1].splitlines() == [
        r"\texttt{tsn} & 17.0 $\pm$ 5.0 & 98.0 [95.5, 100.0] \\",
        r"\texttt{ks3} & 68.0 $\pm$ 7.5 & 98.0 [95.5, 100.0] \\",
    ]


HOSTILE = Document(
    "d",
    [
        Paragraph("``a` `<img src=//evil>`\n# no heading\n\n[x]: //evil", "question"),
        Table(header=["*a", "[b"], rows=[["*c", "d"]], words=(0, 1), label="x", caption="c"),
        Code("run '```\n![i](//evil)'"),
    ],
)


def test_markdown_of_hostile_texts_has_no_markup_of_theirs() -> None:
    """Code spans by CommonMark's rule: a run of backticks ends at the next run of the same length."""
    question, *_ = markdown(HOSTILE).removeprefix("# d\n\n").split("\n\n|")
    assert question == "**\\``a` `<img src=//evil>` # no heading  [x]: //evil**"
    assert "\n````\nrun '```\n![i](//evil)'\n````\n" in markdown(HOSTILE)


def test_mlflows_pages_show_no_markup_of_a_class_or_a_study() -> None:
    link, picture = "[l](javascript:alert(1))", "![i](http://evil/x.png)"
    record = dataclasses.replace(small_study(), question=f"Does {link} help?", source=picture)
    settings = {"model": {"operator": {"name": "shift"}}, "data": {"num_frames": 8, "crop": 32}}
    texts = describe_study(record), card("models:/m-1", settings, [picture, "<img src=//evil>", link])
    for text in texts:
        assert not re.search(r"(?<!\\)\]\(", text)
        assert "<img" not in text


def test_a_cell_of_a_latex_table_is_no_argument_of_the_line_before_it() -> None:
    assert "\n{*}a & {[}b \\\\\n\\midrule\n{*}c & d \\\\\n" in latex("s", HOSTILE.tables)


def test_html_escapes_what_users_write_and_needs_no_network() -> None:
    page = html(SAMPLE)
    assert "<i>" not in page
    assert "a|b &lt;i&gt;c&lt;/i&gt; *d* \\e 50 % &amp; x_y" in page
    assert "<strong>73.0 ± 7.5</strong>" in page
    assert "-0.3 [-1.0,\u00a00.4]" in page  # an interval stays on one line
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert '<td class="n"><strong>' in page


def test_a_page_has_contents_ways_to_its_files_and_figures_that_can_be_read_aloud(full_report: Path) -> None:
    page = (full_report / "index.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'<h[23] id="([^"]+)"', page))
    linked = re.findall(r'<li[^>]*><a href="#([^"]+)"', page)
    assert set(linked) == ids
    assert len(linked) == len(ids) > 8
    beside = re.findall(r'<a href="([^"#]+)"', page.split("<h1>")[0])
    assert beside == ["../index.html", "results.csv", "trials.csv", "results.json", "tables.tex"]
    assert all((full_report / name).exists() for name in beside[1:])
    for label, caption in re.findall(
        r'<svg role="img" aria-label="([^"]+)" aria-describedby="([^"]+)"', page
    ):
        assert label
        assert f'id="{caption}"' in page
    assert (
        page.index("<h1>") < page.index('id="about-differences"') < page.index("<h2")
    )  # on the first screen
    assert "<title>ks5: better, +59.5" in page  # where the pointer rests on the forest plot: 95.5 - 36


def test_a_figure_that_answers_stands_beside_the_answer(full_report: Path) -> None:
    """In the order of reading, and what is no first screen is left alone: a figure below a heading."""
    page = (full_report / "index.html").read_text(encoding="utf-8")
    first = page[page.index('<div class="first">') : page.index("<h2")]
    places = [
        first.index(part) for part in ("<h1>", 'class="question"', 'class="answer"', "</div>", "<figure")
    ]
    assert places == sorted(places)
    assert first.count("<figure") == 1
    assert 'class="first"' not in html(SAMPLE)


def test_numbers_and_verdicts_of_a_table_are_marked_for_sorting_and_for_a_phone() -> None:
    rows = [["`a`", "1.0", "better"], ["`b`", "2.0", "worse"], ["`c`", "-", "baseline"]]
    table = Table(header=["variant", "top-1", "verdict"], rows=rows, words=(0, 2))
    page = html(Document("x", [table]))
    assert '<th data-sort="w">variant</th><th class="n" data-sort="n">top-1</th>' in page
    assert '<th class="v" data-sort="w">verdict</th>' in page
    assert '<td class="v">better</td>' in page
    short = html(Document("x", [Table(header=table.header, rows=rows[:2])]))
    assert "<th data-sort" not in short  # two rows need no sorting


needs_browser = pytest.mark.skipif(chromium() is None, reason="no chromium is installed")


@pytest.mark.slow
@needs_browser
def test_a_click_on_a_heading_sorts_the_table(tmp_path: Path) -> None:
    """With a pointer. The baseline is 0 points from itself; what is not known comes last, whichever way."""
    rows = [
        ["`a`", "+9.5 [1, 2]", "baseline"], ["`b`", "1,200", "+2.0"], ["`c`", "-", "-"], ["`d`", "-3.0", "-1.0"],
        ["`e`", "850.00 M", "not run"],
    ]  # fmt: skip
    page = html(Document("x", [Table(header=["variant", "points", "vs a"], rows=rows)]))
    (tmp_path / "x.html").write_text(page, encoding="utf-8")
    seen = "[...document.querySelectorAll('td:first-child')].map(cell => cell.textContent).join('')"
    with seated((tmp_path / "x.html").as_uri()) as browser:
        for column, order in (
            (1, "baedc"),
            (1, "deabc"),
            (2, "badec"),
            (2, "dabec"),
            (0, "abcde"),
            (0, "edcba"),
        ):
            browser.click(*browser.place(f"document.querySelectorAll('th')[{column}]"))
            assert browser.script(seen) == order


@pytest.mark.slow
@needs_browser
def test_a_pointer_over_a_mark_is_told_what_it_stands_for(tmp_path: Path) -> None:
    """Of all rows whose marks lie on each other, and beside none of nothing."""
    rows = {"tsn": [[0, 0]] * 3, "ks3": [[20, 0]] * 3, "ks5": [[20, 0]] * 3}
    page = write_study(ladder(rows, (1, 2), horizons={"tsn": 0, "ks3": 1, "ks5": 1}), tmp_path) / "index.html"
    marks = "[...document.querySelectorAll('figure:has(#about-accuracy_levels) [data-tip]')]"
    told = "document.querySelector('.tip')"
    with seated(page.as_uri()) as browser:
        found = {}
        for place, words in enumerate(browser.script(f"{marks}.map(one => one.dataset.tip)")):
            browser.move(*browser.place(f"{marks}[{place}]"))
            assert not browser.script(f"{told}.hidden")
            found[words] = browser.script(f"{told}.textContent").split("\n")
        assert len(found) == 6
        assert found["tsn at 1: 50.0 %"] == ["tsn at 1: 50.0 %"]
        both = ["ks3 at 1: 100.0 %", "ks5 at 1: 100.0 %"]
        assert [found[words] for words in both] == [both, both]
        title = "document.querySelector('h1')"
        browser.move(*browser.place(title))
        assert browser.script(f"{told}.hidden")
        browser.tap(*browser.place(f"{marks}[0]"))
        assert browser.script(f"{told}.textContent") == "tsn at 1: 50.0 %"
        assert not browser.script(f"{told}.hidden")
        browser.tap(*browser.place(title))
        assert browser.script(f"{told}.hidden")


def test_the_best_is_bold_only_where_every_other_row_is_worse(tmp_path: Path, no_figures: None) -> None:
    close = [trial("tsn", s, 70.0 + 2 * s) for s in (0, 1, 2)]
    close += [trial("ks3", s, 70.5 + (4, 0, 3)[s]) for s in (0, 1, 2)]
    for record, bold in ((small_study(), True), (study(close, ["tsn", "ks3"]), False)):
        folder = write_study(record, tmp_path / str(bold))
        assert (r"\textbf" in (folder / "tables.tex").read_text()) is bold


def test_a_page_of_ten_rows_is_whole_and_below_3_mb(full_report: Path) -> None:
    folder = full_report
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 3_000_000
    assert page.count("<svg") == page.count("</svg>") == len(list((folder / "figures").glob("*.svg")))
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page)) <= set(ids)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")
def test_the_latex_tables_compile(tmp_path: Path) -> None:
    write_study(full_study(), tmp_path)
    (tmp_path / "nasty.tex").write_text(latex("s", SAMPLE.tables), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        "\\input{kernel_sizes/tables}\\input{nasty}\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


@pytest.mark.slow
@needs_browser
def test_a_reader_sees_the_report_in_a_browser(tmp_path: Path) -> None:
    page = write_study(full_study(), tmp_path) / "index.html"
    dom = browse(page.as_uri(), "--dump-dom")
    assert "<h1>kernel_sizes</h1>" in dom
    assert dom.count("<svg") >= 8
    picture = tmp_path / "phone.png"
    browse(phone(page), f"--screenshot={picture}", size="500,6000")
    assert picture.stat().st_size > 50_000
    browse(page.as_uri(), f"--print-to-pdf={tmp_path / 'print.pdf'}")
    assert (tmp_path / "print.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@needs_browser
def test_answer_and_figure_are_on_the_first_screen_and_verdicts_on_a_phones() -> None:
    """Of a ladder with few rows, one with 44, a sweep, and a study of videos; 1440 x 900 and 390 pixels wide."""
    names = ("kernel_sizes-reach", "reach", "kernel_sizes-clips", "lips_pretrained")
    committed = [(ROOT / "reports" / "reference" / name / "index.html").read_text("utf-8") for name in names]
    bottoms = """page => [...page.querySelectorAll(".question, .answer, .first svg")].map(
        one => Math.round(one.getBoundingClientRect().bottom))"""
    for name, found in zip(names, measured([(page, 1440) for page in committed], bottoms), strict=True):
        assert len(found) >= 3
        assert max(found) <= 900, (name, found)
    right = """page => [page.documentElement.scrollWidth, ...[...page.querySelectorAll(
        "figure:has(#about-differences) text")].map(one => Math.ceil(one.getBoundingClientRect().right))]"""
    for name, found in zip(names, measured([(page, 390) for page in committed], right), strict=True):
        assert len(found) > 8
        assert max(found) <= 390, (name, found)


@pytest.mark.slow
@needs_browser
def test_a_reader_finds_runs_report_and_view_in_mlflow(ready: Workplace) -> None:
    assert ready.run(ready.study()).code == 0
    assert main(["--tracking-uri", ready.uri, "--out", str(ready.folder / "reports")]) == 0
    with served(ready.uri) as address:
        seen = {
            name: browse(link, "--dump-dom", "--virtual-time-budget=60000", size="1900,1000", seconds=180)
            for name, link in pages(address, ready.uri, "tiny").items()
        }
    assert "too few seeds to tell" in seen["variants"]
    assert "ks13-s0" in seen["trials"] or "ks13" in seen["trials"]
    assert "Variants: means over seeds" in seen["charts"]
    assert "report/index.html" in seen["report"]
    assert "generated" in seen["trial"]
    assert "resnet_tiny, 4 frames, 1 epochs" in seen["trial"]
