"""The photon energy of a file, and NeXus' numbers of a scan, found where they usually stand.

Files say an energy in several places, and not all of them are the photons': `source` may be the storage ring. So the
places are asked in an order, and a number that no photon can have is passed over, with a note.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from stream_service.core.plausibility import HC_EV_M, number_doubt
from stream_service.errors import SourceError
from stream_service.sources.hdf5.contents import ChannelFinder, energy_scale, length_scale
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.tree import Hdf5Tree

ENERGIES = ("incident_beam_energy", "incident_energy", "incident_photon_energy", "photon_energy", "energy")
WAVELENGTHS = ("incident_wavelength", "wavelength")
SAME_ENERGY = 1e-3
"""Relative: rounding of a wavelength is less, two settings of a monochromator are more."""


@dataclass(frozen=True, slots=True)
class Light:
    """A place where the photon energy may stand."""

    group: str
    name: str
    is_wavelength: bool

    @property
    def path(self) -> str:
        """That of the dataset."""
        return f"{self.group}/{self.name}"


def light_in(*groups: str) -> tuple[Light, ...]:
    """The places in some h5 groups."""
    return tuple(
        Light(group, name, names is WAVELENGTHS)
        for group in groups
        for names in (ENERGIES, WAVELENGTHS)
        for name in names
    )


NEXUS_LIGHT = light_in(
    *(
        f"{entry}/{group}"
        for entry in ("/entry", "/entry1")
        for group in ("instrument/beam", "sample/beam", "instrument/monochromator")
    )
)
NEXUS_DETECTORS = tuple(f"{entry}/instrument/detector" for entry in ("/entry", "/entry1"))


def add_nexus_numbers(
    finder: ChannelFinder, tree: Hdf5Tree, is_fit: Callable[[StoredDataset], bool] = lambda found: True
) -> None:
    """Energy, distance and pixel where NXmx and its kin have them, as far as they are not found yet."""
    add_photon_energy(finder, tree, NEXUS_LIGHT, is_fit)
    for fact, name in (("det_dist_m", "distance"), ("pixel_m", "x_pixel_size")):
        found = tree.first(*(f"{group}/{name}" for group in NEXUS_DETECTORS))
        if fact not in finder.facts and found is not None and is_fit(found):
            finder.add_fact(fact, found, length_scale)


def add_photon_energy(
    finder: ChannelFinder,
    tree: Hdf5Tree,
    places: Iterable[Light],
    is_fit: Callable[[StoredDataset], bool] = lambda found: True,
) -> None:
    """The first energy, or wavelength, that a photon can have; if there is none, the first, which is refused later."""
    if finder.has("energy"):
        return
    taken: tuple[StoredDataset, float] | None = None
    odd: list[tuple[StoredDataset, Light, float]] = []
    for place in _in_groups_of(tree, places):
        stored = tree.find(place.path)
        if stored is None or not is_fit(stored):
            continue
        try:
            energy_eV = _first_eV(stored, place)
        except SourceError as error:
            finder.problems.setdefault("energy_eV", str(error))
            continue
        if number_doubt("energy_eV", energy_eV) is not None or math.isnan(energy_eV):
            odd.append((stored, place, energy_eV))
        elif taken is None:
            taken = stored, energy_eV
            _add(finder, stored, place)
        elif not math.isclose(energy_eV, taken[1], rel_tol=SAME_ENERGY):
            finder.note(
                f"the photon energy is that of {taken[0].path}, {taken[1]:g} eV; {stored.path} says {energy_eV:g} eV: "
                "if that is the right one, give --energy-eV"
            )
    if taken is not None:
        for stored, _, energy_eV in odd:
            finder.note(f"{stored.path} is {energy_eV:g} eV, no photon's energy: that of {taken[0].path} is taken")
    elif odd:
        _add(finder, *odd[0][:2])


def _in_groups_of(tree: Hdf5Tree, places: Iterable[Light]) -> Iterator[Light]:
    """The places whose h5 group is there: most files have few of them, and a look for each name takes longer."""
    for group, in_group in itertools.groupby(places, lambda place: place.group):
        if tree.has_group(group):
            yield from in_group


def _add(finder: ChannelFinder, stored: StoredDataset, place: Light) -> None:
    scale = _wavelength_scale if place.is_wavelength else energy_scale
    finder.add_recorded("energy", "energy_eV", stored, scale, inverse=place.is_wavelength)


def _wavelength_scale(stored: StoredDataset) -> float:
    """Energy in eV times the wavelength in its own unit."""
    return HC_EV_M / length_scale(stored)


def _first_eV(stored: StoredDataset, place: Light) -> float:
    """The energy of the scan, or of its first frame. Raises `SourceError` for what is no such number."""
    if not stored.is_numeric or len(stored.shape) > 1:
        raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; energy is one number, or one a frame")
    value = stored.first_number
    if math.isnan(value):
        return value
    if place.is_wavelength:
        return _wavelength_scale(stored) / (value or math.nan)
    return value * energy_scale(stored)
