"""How long a large table of pictures takes to open: one like ChestX-ray14's, and one like CheXpert's.

    python benchmarks/tables.py [--rows 112120] [--folder DIR]

The first has bare names of pictures in twelve sub-folders and labels in one cell, `Mass|Hernia`. The second has a
folder for each patient, and fourteen columns of 1, 0, -1 and blanks. The pictures are empty files: they are found and
not read. Below the time of each stands what it takes to ask for each file by itself, without a table.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

import numpy as np

from benchmarks import processor
from edgedense.images.tables import Table, read

LABELS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia"),
    *("Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax"),
)
PICTURES_A_PATIENT = 4


def write_rows(file: Path, header: list[str], rows: list[list[str]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([header, *rows])
    return file


def like_chestxray14(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        place = folder / f"images_{1 + 12 * number // count:03}" / "images"
        if not number or 12 * number // count != 12 * (number - 1) // count:
            place.mkdir(parents=True)
        name = f"{number // PICTURES_A_PATIENT:08}_{number % PICTURES_A_PATIENT:03}.png"
        (place / name).touch()
        seen = [label for label, there in zip(LABELS, random.random(len(LABELS)) < 0.05, strict=True) if there]
        rows.append([name, "|".join(seen) or "No Finding", "0", str(number // PICTURES_A_PATIENT), "58", "M", "PA"])
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View"]
    return write_rows(folder / "Data_Entry_2017.csv", header, rows)


def like_chexpert(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        place = Path("train") / f"patient{number // PICTURES_A_PATIENT:05}"
        if number % PICTURES_A_PATIENT == 0:
            (folder / place).mkdir(parents=True)
        name = place / f"view{number % PICTURES_A_PATIENT}_frontal.jpg"
        (folder / name).touch()
        cells = random.choice(["", "0.0", "1.0", "-1.0"], len(LABELS), p=(0.7, 0.1, 0.15, 0.05))
        rows.append([name.as_posix(), "Female", "68", "Frontal", "AP", *cells])
    return write_rows(folder / "train.csv", ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS], rows)


def measure(what: str, make: Callable[[Path, int], Path], folder: Path, count: int) -> None:
    folder.mkdir()
    file = make(folder, count)
    started, busy = time.perf_counter(), time.process_time()
    rows = read(Table(file), "several", LABELS)
    took, busy = time.perf_counter() - started, time.process_time() - busy
    print(f"{what}: {len(rows.paths)} rows and their files in {took:.2f} s, {busy:.2f} s of a processor")
    print(f"  {int(np.nansum(rows.truth))} labels are seen, {int(np.isnan(rows.truth).sum())} are not known")
    started = time.perf_counter()
    there = sum(os.path.isfile(path) for path in rows.paths)
    print(f"  {there} files one by one: {time.perf_counter() - started:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=112_120)
    parser.add_argument("--folder", type=Path, help="where the files are made and removed again (default: temporary)")
    arguments = parser.parse_args()
    import pandas

    print(f"measured on {processor.here()}, with pandas {pandas.__version__}, loaded before")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure("like ChestX-ray14", like_chestxray14, Path(folder) / "chestxray14", arguments.rows)
        measure("like CheXpert", like_chexpert, Path(folder) / "chexpert", arguments.rows)


if __name__ == "__main__":
    main()
