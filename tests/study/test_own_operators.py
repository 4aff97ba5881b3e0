"""Operators of the user's own: found, part of an id, and placed where they are wrong."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import Workplace
from builders.study_files import change, ids, load, refusal

from harness.model.build import build
from harness.options import carried_out
from harness.outside import own_source, source_files

OWN_OPERATOR = """
from operators import TemporalOp

class Late(TemporalOp):
    def forward(self, x):
        return x * 1.0
"""


def own(folder: Path, module: str, text: str, name: str = "Late", **settings: Any) -> dict[str, Any]:
    """A study whose second variant is an operator of the user's, in a file beside it."""
    (folder / f"{module}.py").write_text(text)
    return change("variants/own", {"model.operator": {"name": f"{module}.{name}", **settings}})


def test_an_operator_in_a_file_beside_the_study_is_found(place: Workplace) -> None:
    study = load(place.folder, own(place.folder, "own_beside", OWN_OPERATOR))
    assert study.variants["own"].model.operator == {"name": "own_beside.Late"}


def test_a_changed_source_file_of_an_outside_operator_changes_its_ids_only(place: Workplace) -> None:
    study = load(place.folder, own(place.folder, "own_changed", OWN_OPERATOR))
    before = ids(study)
    (place.folder / "own_changed.py").write_text(OWN_OPERATOR.replace("1.0", "2.0"))
    after = ids(study)
    assert before["own"] != after["own"]
    assert before["ks13"] == after["ks13"]


def test_every_module_of_the_users_that_an_operator_imports_is_part_of_its_ids(place: Workplace) -> None:
    """However it is imported, and by whichever of them; what is installed, or only lies beside them, is not."""
    folder = place.folder / "own_package"
    (folder / "deep").mkdir(parents=True)
    text = {
        "__init__": "",
        "op": "import numpy, json\nfrom . import near\n" + OWN_OPERATOR,
        "near": "def later():\n    from own_package.deep.far import X\n",
        "deep/__init__": "Y = 1\n",
        "deep/far": "import torch.nn.functional as f\nimport own_lone as o\nfrom .circle import Z\nX = 1\n",
        "deep/circle": "from ..op import Late\nZ = 1\n",
        "unused": "W = 1\n",
    }
    for name, content in text.items():
        (folder / f"{name}.py").write_text(content)
    (place.folder / "own_lone.py").write_text("V = 1\n")
    study = load(place.folder, change("variants/own", {"model.operator": {"name": "own_package.op.Late"}}))
    found = list(source_files("own_package.op.Late"))
    deep = [f"own_package.{name}" for name in ("deep", "deep.circle", "deep.far", "near")]
    assert found == ["own_package.op", "own_lone", *deep]
    before = ids(study)["own"]
    for name in ("near", "deep/__init__", "deep/far", "deep/circle", "op", "unused"):
        file = folder / f"{name}.py"
        file.write_text(file.read_text() + "\n# changed\n")
        now = ids(study)["own"]
        assert (now == before) == (name == "unused"), name
        before = now


def test_an_operator_in_a_single_file_has_the_id_that_it_had(place: Workplace) -> None:
    own(place.folder, "own_single", "import torch\n" + OWN_OPERATOR)
    content = (place.folder / "own_single.py").read_bytes()
    load(place.folder, change("variants/own", {"model.operator": {"name": "own_single.Late"}}))
    assert own_source("own_single.Late") == hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("own_syntax", "from operators import\n", r"own_syntax\.Late: .*own_syntax\.py:1: SyntaxError: "),
        (
            "own_import",
            "import tourch\n",
            r"own_import\.Late: .*own_import\.py:1: ModuleNotFoundError: No module named 'tourch'",
        ),
        (
            "own_name",
            "x = 1\ny = z\n",
            r"own_name\.Late: .*own_name\.py:2: NameError: name 'z' is not defined",
        ),
        ("own_class", "class Other: ...\n", r"name: own_class has no 'Late'; known: Other"),
        ("own_kind", "class Late: ...\n", r"name: 'own_kind\.Late' is not a subclass of TemporalOp"),
        (
            "own_init",
            OWN_OPERATOR + "    def __init__(self, channels, num_frames):\n        1 / 0\n",
            r"own_init\.Late: .*own_init\.py:8: ZeroDivisionError: division by zero",
        ),
        (
            "own_script",
            "import argparse\nargparse.ArgumentParser().parse_args(['--no-such'])\n",
            r"own_script\.Late: .*own_script\.py:2: its code called sys\.exit\(2\)",
        ),
        (
            "own_mute",
            "class Mute(Exception):\n    def __str__(self):\n        1 / 0\nraise Mute\n",
            r"own_mute\.Late: .*own_mute\.py:4: Mute: \(its message cannot be read\)",
        ),
        (
            "own_vanishes",
            "import os\nos._exit(0)\n",
            r"own_vanishes\.Late: cannot be made: its process exited with 0",
        ),
        (
            "own_crash",
            OWN_OPERATOR
            + "    def __init__(self, channels, num_frames):\n        import os\n        os.kill(os.getpid(), 11)\n",
            r"own_crash\.Late: cannot be made: its process was ended by signal 11 \(SIGSEGV\)",
        ),
    ],
)
def test_what_is_wrong_with_an_operator_of_the_users_own_is_placed(
    place: Workplace, module: str, text: str, expected: str
) -> None:
    message = refusal(place.folder, own(place.folder, module, text))
    assert re.match(r"tiny\.yaml: variants\.own\.model\.operator[:.] ?" + expected, message), message


MOVES = """
import os, torch
os.environ["OMP_NUM_THREADS"] = os.environ["MOVED"] = "7"
os.chdir("/")
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_num_threads(3)
torch.backends.mkldnn.enabled = False
"""


def test_what_a_file_of_the_users_own_moves_when_it_is_imported_is_put_back(place: Workplace) -> None:
    """Else all processes of trials would have it so, and what is counted here."""
    environment, threads = dict(os.environ), torch.get_num_threads()
    study = own(place.folder, "own_moves", MOVES + OWN_OPERATOR)
    load(place.folder, study)
    assert (dict(os.environ), Path.cwd()) == (environment, place.folder)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, threads)
    assert torch.backends.mkldnn.enabled
    assert torch.empty(1).device == torch.device("cpu")


NEEDS = """
import os, pathlib
from operators import TemporalOp

os.environ["OWN_NEEDS"] = "7"
with pathlib.Path("imports").open("a") as log:
    log.write("x")

class Late(TemporalOp):
    def __init__(self, channels, num_frames, scale=1):
        super().__init__(channels, num_frames)
        self.scale = scale * int(os.environ["OWN_NEEDS"])
    def forward(self, x):
        return x * self.scale
"""


def test_an_operator_finds_what_its_file_has_set_in_the_environment_whenever_it_is_made(
    place: Workplace,
) -> None:
    once = own(place.folder, "own_needs", NEEDS)
    twice = {"model.operator": {"name": "own_needs.Late", "scale": 2}}
    study = load(place.folder, change("variants/twice", twice, once))
    for name in ("own", "twice"):
        build(study.variants[name].model, num_frames=4, num_classes=2)
    assert "OWN_NEEDS" not in os.environ


def test_rows_that_are_alike_have_a_file_of_the_users_own_imported_once_apart_and_once_here(
    place: Workplace,
) -> None:
    """It may take a minute each time."""
    study = own(place.folder, "own_heavy", NEEDS) | {"sweep": {"train.lr": [0.01, 0.02, 0.03]}}
    assert [name for name in load(place.folder, study).variants if "own" in name] == [
        "own@0.01",
        "own@0.02",
        "own@0.03",
    ]
    assert Path("imports").read_text() == "xx"


def test_sigterm_ends_a_command_whose_study_hangs_while_it_is_read(place: Workplace) -> None:
    hangs = f"import os, time\nos.kill({os.getpid()}, 15)\ntime.sleep(600)\n"
    study, begin = own(place.folder, "own_hangs", hangs), time.monotonic()
    assert carried_out(lambda: bool(load(place.folder, study)), "nothing was written") == 143
    assert time.monotonic() - begin < 40  # of the minute for which it would be waited


def test_a_missing_module_says_where_to_put_it(tmp_path: Path) -> None:
    study = change("variants/own", {"model.operator": {"name": "own_nowhere.Late"}})
    assert "no module 'own_nowhere' for operator 'own_nowhere.Late'; put its folder on PYTHONPATH" in refusal(
        tmp_path, study
    )


def test_an_unknown_setting_of_an_operator_of_the_users_own_is_named(place: Workplace) -> None:
    text = (
        OWN_OPERATOR
        + "    def __init__(self, channels, num_frames, width=1):\n        super().__init__(channels, num_frames)\n"
    )
    study = own(place.folder, "own_setting", text, widht=3)
    assert (
        "variants.own.model.operator.widht: operator 'own_setting.Late' has no such setting; did you mean 'width'?"
        in (refusal(place.folder, study))
    )


def test_an_operator_of_the_users_own_needs_its_dotted_path(place: Workplace) -> None:
    # A short name is known only to the process that happened to import the file.
    text = OWN_OPERATOR.replace("Late(TemporalOp)", 'Late(TemporalOp, name="own_late")')
    study = own(place.folder, "own_short", text)
    study["variants"]["short"] = {"model.operator": {"name": "own_late"}}
    assert "name: 'own_late' is not of the zoo; write its dotted path, own_short.Late" in refusal(
        place.folder, study
    )
