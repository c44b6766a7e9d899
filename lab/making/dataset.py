"""Makes the ocean data set: small, synthetic, and the same on every host.

The fields are formulas and seeded noise with the shape of an ocean:
warm in the tropics, seasons, a western boundary current, a thermocline. They are no observations, and say so.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset, default_fillvals

from lab.names import DATASET

_SEED = 20260101
_YEARS = (2021, 2022, 2023)
_LATITUDES = np.arange(-59.75, 60.0, 0.5)
_LONGITUDES = np.arange(-69.75, 0.0, 0.5)
_DEPTHS = np.array([0, 10, 20, 30, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1500, 2000, 3000])

_MOORINGS = """\
name,latitude,longitude,depth_m
M1,26.5,-69.0,5200
M2,26.5,-49.5,3700
M3,27.0,-24.0,4500
M4,49.0,-16.5,4800
M5,29.0,-15.5,3600
M6,15.0,-38.0,5400
M7,8.0,-38.0,4500
M8,0.0,-23.0,3900
"""

_README = """\
# Synthetic Atlantic

Made by formulas and seeded noise, for teaching and for tests. Not observations.

- `surface/sst_YEAR.nc`: monthly sea surface temperature, half a degree
- `section/section_25w.nc`: temperature and salinity along 25 W, 20 depths, by season
- `moorings.csv`: positions of eight invented moorings
- `SHA256SUMS`: check with `sha256sum --check SHA256SUMS`
"""


def make_dataset(folder: Path) -> None:
    """Make `folder`/ocean: NetCDF files, a table, a README and SHA256SUMS."""
    print("dataset: synthetic Atlantic", flush=True)
    root = folder / DATASET
    (root / "surface").mkdir(parents=True)
    (root / "section").mkdir()
    random = np.random.default_rng(_SEED)
    for year in _YEARS:
        _write_surface(root / "surface" / f"sst_{year}.nc", year, random)
    _write_section(root / "section" / "section_25w.nc", random)
    (root / "moorings.csv").write_text(_MOORINGS)
    (root / "README.md").write_text(_README)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)
    (root / "SHA256SUMS").write_text("".join(sums))


def _write_surface(path: Path, year: int, random: np.random.Generator) -> None:
    months = np.arange(12)
    latitude = np.deg2rad(_LATITUDES)[None, :, None]
    longitude = _LONGITUDES[None, None, :]
    season = np.cos(2 * np.pi * (months - 7.5) / 12)[:, None, None]
    mean = 29.0 * np.cos(latitude) ** 2 - 1.0 + 0.03 * (year - _YEARS[0])
    current = 5.0 * np.exp(-(((_LATITUDES[None, :, None] - 38) / 5) ** 2) - ((longitude + 60) / 18) ** 2)
    upwelling = -4.0 * np.exp(-(((_LATITUDES[None, :, None] - 20) / 6) ** 2) - ((longitude + 18) / 6) ** 2)
    noise = random.normal(0.0, 0.15, (12, _LATITUDES.size, _LONGITUDES.size))
    temperature = mean + 4.5 * np.sin(latitude) * season + current + upwelling + noise
    with Dataset(path, "w", format="NETCDF4") as file:
        _describe(file, f"Synthetic sea surface temperature, {year}")
        days = np.array([np.datetime64(f"{year}-{month:02}-15") for month in months + 1]) - np.datetime64("2021-01-01")
        _coordinate(file, "time", days.astype(float), "days since 2021-01-01", "time")
        _coordinate(file, "lat", _LATITUDES, "degrees_north", "latitude")
        _coordinate(file, "lon", _LONGITUDES, "degrees_east", "longitude")
        attributes = {"units": "degree_Celsius", "standard_name": "sea_surface_temperature"}
        _field(file, "sst", ("time", "lat", "lon"), temperature, attributes)


def _write_section(path: Path, random: np.random.Generator) -> None:
    depth = _DEPTHS[None, :, None].astype(float)
    latitude = _LATITUDES[None, None, :]
    season = np.cos(2 * np.pi * (np.arange(4) * 3 - 6.5) / 12)[:, None, None]
    surface = 29.0 * np.cos(np.deg2rad(latitude)) ** 2 - 1.0
    seasonal = 4.0 * np.sin(np.deg2rad(latitude)) * season * np.exp(-depth / 60)
    thermocline = 150 + 450 * np.sin(2 * np.deg2rad(latitude)) ** 2
    shape = (4, _DEPTHS.size, _LATITUDES.size)
    noise = random.normal(0.0, 0.02, shape)
    temperature = 2.5 + (surface - 2.5) * np.exp(-depth / thermocline) + seasonal + noise
    evaporation = 2.0 * np.exp(-(((np.abs(latitude) - 24) / 12) ** 2)) * np.exp(-depth / 400)
    salinity = 34.7 + evaporation + random.normal(0.0, 0.003, shape)
    with Dataset(path, "w", format="NETCDF4") as file:
        _describe(file, "Synthetic section along 25 W, by season")
        _coordinate(file, "season", np.arange(4), "1", "0 winter, 1 spring, 2 summer, 3 autumn (northern)")
        _coordinate(file, "depth", _DEPTHS, "m", "depth")
        _coordinate(file, "lat", _LATITUDES, "degrees_north", "latitude")
        dimensions = ("season", "depth", "lat")
        attributes = {"units": "degree_Celsius", "standard_name": "sea_water_temperature"}
        _field(file, "temperature", dimensions, temperature, attributes)
        attributes = {"units": "1e-3", "standard_name": "sea_water_practical_salinity"}
        _field(file, "salinity", dimensions, salinity, attributes)


def _describe(file: Any, title: str) -> None:
    file.setncatts({"title": title, "Conventions": "CF-1.8", "source": "synthetic: formulas and seeded noise"})


def _coordinate(file: Any, name: str, values: Any, units: str, long_name: str) -> None:
    file.createDimension(name, len(values))
    variable = file.createVariable(name, "f8", (name,))
    variable.setncatts({"units": units, "long_name": long_name})
    variable[:] = values


def _field(file: Any, name: str, dimensions: tuple[str, ...], values: Any, attributes: dict[str, str]) -> None:
    variable = file.createVariable(name, "f4", dimensions, zlib=True, fill_value=default_fillvals["f4"])
    variable.setncatts(attributes)
    variable[:] = values
