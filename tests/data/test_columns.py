"""The clips of a data set as columns: the same clips as objects, at a fraction of the memory."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders.place import ROOT

from harness.data.columns import (
    UNKNOWN,
    Clip,
    Columns,
    Table,
    chosen,
    in_split,
    numbers_of,
    read_columns,
    with_problem,
    write_columns,
)
from harness.data.sources.readers import Places

PLACE = Places("/data/", ".webm", "")
PROBLEMS = {1: "no such video", 6: "é"}
IDS = ["a", "ü/b", "ccc", "", "d e", "7", "caf\udce9", "8"]


def listed() -> list[Clip]:
    return [
        Clip(
            id=id_,
            file=Path(f"/data/{id_}.webm"),
            split=("train", "train", "val")[i % 3],
            label=i % 4,
            frames=10 + i,
            problem=PROBLEMS.get(i, ""),
            special=None if i == 3 else i % 2,
        )
        for i, id_ in enumerate(IDS)
    ]


def columns() -> Columns:
    table = Table()
    for clip in listed():
        table.add(clip.id, clip.split, clip.label, pictures=False)
    made = Columns(table.columns(), PROBLEMS, PLACE, 1)
    made.table["frames"][:] = [clip.frames for clip in listed()]
    made.table["special"][:] = [UNKNOWN if clip.special is None else clip.special for clip in listed()]
    return made


@pytest.fixture
def mapped(tmp_path: Path) -> Columns:
    write_columns(tmp_path / "index", {"classes": ["é"]}, columns())
    about, found = read_columns(tmp_path / "index", PLACE, 1)
    assert about == {"classes": ["é"]}
    return found


def test_columns_are_the_clips_that_were_added(mapped: Columns) -> None:
    for found in (columns(), mapped, pickle.loads(pickle.dumps(mapped))):
        assert list(found) == listed() == [found[i] for i in range(len(IDS))]
        assert found == listed()
        assert found[-1] == listed()[-1]
        assert list(found[2:7:2]) == listed()[2:7:2]
        with pytest.raises(IndexError):
            found[8]


def test_questions_have_the_answers_of_a_list(mapped: Columns) -> None:
    rows = np.array([7, 1, 4, 6])
    clips = listed()
    pairs = [(mapped, clips), (mapped.select(rows), [clips[row] for row in rows])]
    pairs.append((mapped.select(rows).select(np.array([2, 1])), [clips[4], clips[1]]))
    for some, plain in pairs:
        for split in ("train", "val", "test"):
            assert in_split(some, split).tolist() == in_split(plain, split).tolist()
        assert with_problem(some).tolist() == with_problem(plain).tolist()
        for name in ("label", "frames"):
            assert numbers_of(some, name).tolist() == numbers_of(plain, name).tolist()
        assert list(chosen(some, np.array([1, 0]))) == [plain[1], plain[0]]


@pytest.mark.parametrize("place", [0, 100, -30])
def test_a_changed_byte_makes_the_file_unreadable(place: int, tmp_path: Path) -> None:
    file = tmp_path / "index"
    write_columns(file, {}, columns())
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="it is damaged"):
        read_columns(file, PLACE, 1)


# --- A large data set -----------------------------------------------------------------------------------------

MANY = 200_000

MEASURED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
{imports}
def peak():  # of this program alone; rusage begins with that of the process which started it
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) / 1024
before, begin = peak(), time.process_time()
{work}
print(json.dumps([peak() - before, peak(), time.process_time() - begin]))
"""


def measured(imports: str, work: str, folder: Path) -> list[float]:
    """MiB above the import, MiB in all, seconds of processor time, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(imports=imports, work=work), str(ROOT)],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def large(root: Path) -> Path:
    """Something-Something v2 with so many clips, of which no video is here."""
    root.mkdir()
    classes = {f"Doing the thing number {number} with something": str(number) for number in range(174)}
    (root / "something-something-v2-labels.json").write_text(json.dumps(classes))
    for split, ids in (("train", range(MANY * 7 // 8)), ("validation", range(MANY * 7 // 8, MANY))):
        entries = [
            {"id": str(id_), "label": f"doing the thing number {id_ % 174} with a red cup and some tea",
             "template": f"Doing the thing number {id_ % 174} with [something]",
             "placeholders": ["a red cup", "some tea"]}
            for id_ in ids
        ]  # fmt: skip
        (root / f"something-something-v2-{split}.json").write_text(json.dumps(entries))
    return root


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere a process does not say its peak so"
)
def test_a_trial_opens_many_clips_at_once_and_a_check_of_them_needs_little(tmp_path: Path) -> None:
    """Asked for: 0.3 s and 60 MiB above the import for a trial, 300 MiB for a check."""
    root = large(tmp_path / "root")
    make = f"""
import numpy as np
import harness.data.sources.index_files as files
from harness.data.sources.annotations import refuse
from harness.data.sources.readers import SomethingV2Config
config = SomethingV2Config(root={str(root)!r})
files.one_by_one = lambda function, jobs, progress: (files.Counted(30) for _ in range(len(jobs)))
files.agreed = lambda clips, setting: ""
"""
    measured(make, f"files.prepare(config, Path({str(tmp_path)!r}), lambda done, total: None)", tmp_path)
    use = f"""
from harness.data.dataset import DataSet, open_data
from harness.data.config import DataConfig
import harness.data.dataset
harness.data.dataset.decode_small = lambda index, short_side, progress: index  # no video is here
config = DataConfig(dataset={{"name": "something_v2", "root": {str(root)!r}}})
"""
    work = f"""
data = open_data(config, Path({str(tmp_path)!r}))
splits = [data.split(name) for name in ("train", "val")]
assert [len(split) for split in splits] == [{MANY * 7 // 8}, {MANY // 8}]
assert splits[0].clips[5].id == "5" and splits[0].labels[5] == data.classes.index(
    "Doing the thing number 5 with something")
"""
    above, _, seconds = min(measured(use, work, tmp_path) for _ in range(2))
    print(f"a trial: {above:.0f} MiB above the import, {seconds:.2f} s")
    assert above < 60
    assert seconds < 0.6  # 0.3 on a machine that does nothing else
    check = "from harness.data.__main__ import main"
    _, peak, seconds = measured(
        check, f"assert main(['check', {str(root)!r}, '--out', 'found.json']) == 1", tmp_path
    )
    print(f"a check: {peak:.0f} MiB, {seconds:.1f} s")
    assert peak < 300
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["problems"]) == MANY
    assert found["problems"][-1]["kind"] == "missing"
