"""Hold a recording of a --quick run against the numbers that the same run gave before the redesign.

    python tests/same_numbers/compare.py NAME RECORDING

The archives beside this file hold everything but the runs themselves: by group and variable, with the dimensions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from bioplastic.recording import read

HERE = Path(__file__).parent
RTOL, ATOL = 1e-9, 1e-12
"""The twin rounds by the size of its batch; spikes are the same to the bit, and so is what is counted from them."""
SEARCHED, SEARCHED_RTOL = "predictive coding, equilibrium", 1e-6
"""Its equilibrium is searched to this tolerance, by all of a batch together; batches are put together anew."""
GONE = ("replay",)
"""Axes that had one label only."""


def differences(name: str, path: Path) -> list[str]:
    """Say where a recording differs from the kept numbers of the experiment `name`; nothing if it does not."""
    groups = {group.replace("/", "_"): dataset for group, dataset in read(path).groups.items()}
    found = []
    with np.load(HERE / f"{name}.npz") as kept:
        for key in kept.files:
            where, dims = key.split("|")
            group, _, variable = where.replace("/", "_", where.count("/") - 1).rpartition("/")
            if variable in GONE or (kept[key].dtype.kind == "f" and np.isnan(kept[key]).all()):
                continue  # never measured in this experiment
            if group not in groups or variable not in groups[group].variables:
                found.append(f"{where} is missing; there are {sorted(groups)} with {sorted(groups.get(group, []))}")
                continue
            problem = difference(groups[group][variable], kept[key], dims.split(",") if dims else [])
            if problem:
                found.append(f"{where}: {problem}")
    return found


def difference(new: xr.DataArray, old: np.ndarray, dims: list[str]) -> str:
    """Say how an array differs from a kept one; a dimension of length 1 may have gone or come."""
    bare = iter(dim for dim in new.dims if dim not in dims and new.sizes[dim] > 1)
    dims = [str(next(bare, dim)) if dim.startswith("This is a netCDF dimension") else dim for dim in dims]
    dropped = [dim for dim, n in zip(dims, old.shape, strict=True) if dim not in new.dims and n == 1]
    old = old.squeeze(tuple(dims.index(dim) for dim in dropped))
    dims = [dim for dim in dims if dim not in dropped]
    extra = [dim for dim in new.dims if dim not in dims]
    if any(new.sizes[dim] != 1 for dim in extra) or set(dims) - set(new.dims):
        return f"it has dimensions {new.dims}, and had {dims}"
    values = new.squeeze(extra, drop=True).transpose(*dims).values
    if values.shape != old.shape:
        return f"it has shape {values.shape}, and had {old.shape}"
    if old.dtype.kind in "US":
        return "" if (values == old).all() else f"it is {values.tolist()}, and was {old.tolist()}"
    rtol = np.full(values.shape, RTOL)
    if "learner" in dims and SEARCHED in (names := new["learner"].values.tolist()):
        np.moveaxis(rtol, dims.index("learner"), 0)[names.index(SEARCHED)] = SEARCHED_RTOL
    with np.errstate(invalid="ignore"):  # infinities
        same = np.abs(values.astype(float) - old.astype(float)) <= ATOL + rtol * np.abs(old.astype(float))
    same |= (values == old) | (np.isnan(values.astype(float)) & np.isnan(old.astype(float)))
    if same.all():
        return ""
    k = np.unravel_index(int(np.argmin(same)), same.shape) if same.ndim else ()
    return f"{(~same).sum()} of {same.size} numbers differ, the first at {k}: it is {values[k]}, and was {old[k]}"


if __name__ == "__main__":
    wrong = differences(sys.argv[1], Path(sys.argv[2]))
    print("\n".join(wrong) or "the same numbers")
    sys.exit(bool(wrong))
