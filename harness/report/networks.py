"""python -m harness.report.networks: the table of docs/networks.md, of studies/rivals.yaml."""

from __future__ import annotations

from harness.published import TABLES, load_reference
from harness.report.document.blocks import Document
from harness.report.document.markdown import markdown
from harness.report.sections import networks
from harness.study.costed import counted
from harness.study.load import load_studies


def table() -> str:
    """The networks that the study costs and those that its table quotes, in Markdown."""
    study = load_studies(TABLES.parent / "rivals.yaml")[0]
    blocks = networks.table(counted(study), load_reference(study.reference))
    return markdown(Document("networks", blocks)).partition("\n\n")[2].strip()


if __name__ == "__main__":
    print(table())
