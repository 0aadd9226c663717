"""The UVa/Padova body of type 1 diabetes, all people of a block at once.

The equations are those of Dalla Man, Rizza and Cobelli (2007) with the subcutaneous insulin and glucose of the
simulator's release of 2008, as the package simglucose solves them for one person minute by minute. Insulin's part is
linear with constant coefficients: it is solved exactly. Carbohydrate and glucose are solved by the classical
Runge-Kutta rule in steps of 2.5 minutes, in which intake is constant.

``glucose`` is ``[6, people]``: solid and liquid stomach, gut (mg); plasma and tissue (mg/kg), under the skin (mg/kg).
``insulin`` is ``[7, people]``: plasma and liver (pmol/kg), two depots under the skin (pmol/kg), its action on uptake
(pmol/L above the basal level), the delay of its action on the liver, and that action (pmol/L).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["Bodies"]

Floats = npt.NDArray[np.float64]

_EATING = 5.0  # g/min
_PMOL = 6000.0  # in a unit of insulin
_STEP = 2.5  # min
_QUICKEST = 0.9  # per min: with more the rule would not be stable


class Bodies:
    """Virtual bodies and where they stand.

    :ivar glucose: ``[6, people]``, and ``insulin`` ``[7, people]``: the state.
    """

    def __init__(self, parameters: Mapping[str, Floats]) -> None:
        """Begin at rest: fasting, at the basal glucose, held there by the basal infusion :attr:`basal`.

        :param parameters: each ``[people]``, named as in the simulator's table.
        """
        self._usual = p = dict(parameters)
        nothing = np.zeros(len(p["BW"]))
        first = p["u2ss"] / (p["ka1"] + p["kd"])
        second = p["kd"] * first / p["ka2"]
        self.glucose = np.stack([nothing, nothing, nothing, p["Gpb"], p["Gtb"], p["Gpb"]])
        self.insulin = np.stack([p["Ipb"], p["Ilb"], first, second, nothing, p["Ib"], p["Ib"]])
        self._half = _propagator(p, _STEP / 2)
        self._plate, self._before, self._eaten = nothing.copy(), nothing.copy(), nothing.copy()
        self._eating = nothing > 0

    @property
    def basal(self) -> Floats:
        """U/h that hold a resting body steady."""
        return np.asarray(self._usual["u2ss"] * self._usual["BW"] * 60 / _PMOL)

    @property
    def sensed(self) -> Floats:
        """Glucose under the skin, mg/dL: what a perfect sensor would read."""
        return np.asarray(self.glucose[5] / self._usual["Vg"])

    def live(self, carbs: Floats, insulin: Floats, changed: Mapping[str, Floats]) -> None:
        """Go on by 5 minutes.

        :param carbs: g that are put on the plate now, and eaten at 5 g/min.
        :param insulin: U/h that flow under the skin.
        :param changed: parameters of meals and glucose that differ from the usual ones for these minutes.
        """
        p = {**self._usual, **changed}
        p["kabs"] = np.minimum(p["kabs"], _QUICKEST)
        self._plate += carbs
        infused = insulin / 60 * _PMOL / p["BW"]
        for _ in range(2):
            bite = np.minimum(_EATING * _STEP, self._plate)
            self._plate -= bite
            begins = (bite > 0) & ~self._eating
            self._before = np.where(begins, self.glucose[0] + self.glucose[1], self._before)
            self._eaten = np.where(begins, 0.0, self._eaten) + 1000 * bite
            self._eating = bite > 0
            rates = _Rates(p, 1000 * bite / _STEP, self._before + self._eaten)
            start, middle = self.insulin, self._later(self.insulin, infused)
            self.insulin = self._later(middle, infused)
            x = self.glucose
            one = rates(x, start)
            two = rates(x + _STEP / 2 * one, middle)
            three = rates(x + _STEP / 2 * two, middle)
            four = rates(x + _STEP * three, self.insulin)
            self.glucose = np.maximum(x + _STEP / 6 * (one + 2 * (two + three) + four), 0)

    def _later(self, insulin: Floats, infused: Floats) -> Floats:
        """Return ``[7, people]`` after half a step. Summed term by term: no person's bits depend on the others."""
        total = self._half[7] * infused + self._half[8]
        for at in range(7):
            total = total + self._half[at] * insulin[at]
        return np.asarray(total)


class _Rates:
    """The right-hand side of carbohydrate and glucose, with all that is constant within a step computed once."""

    def __init__(self, p: Mapping[str, Floats], intake: Floats, dose: Floats) -> None:
        self._p, self._intake = p, intake
        fed, some = dose > 0, np.maximum(dose, 1e-9)
        self._rise = np.where(fed, 2.5 / (some * (1 - p["b"])), 0)  # nobody fed: the stomach empties at kmax
        self._fall = np.where(fed, 2.5 / (some * p["d"]), 0)
        self._full, self._empty = p["b"] * dose, p["d"] * dose
        self._half = (p["kmax"] - p["kmin"]) / 2
        self._appears = p["f"] * p["kabs"] / p["BW"]

    def __call__(self, x: Floats, insulin: Floats) -> Floats:
        p = self._p
        solid, liquid, gut, plasma, tissue, skin = x
        stomach = solid + liquid
        shape = np.tanh(self._rise * (stomach - self._full)) - np.tanh(self._fall * (stomach - self._empty))
        emptied = (p["kmax"] + self._half * shape) * liquid
        ground, absorbed = p["kmax"] * solid, p["kabs"] * gut
        produced = np.maximum(p["kp1"] - p["kp2"] * plasma - p["kp3"] * insulin[6], 0)
        excreted = p["ke1"] * np.maximum(plasma - p["ke2"], 0)
        exchanged = p["k1"] * plasma - p["k2"] * tissue
        used = (p["Vm0"] + p["Vmx"] * insulin[4]) * tissue / (p["Km0"] + tissue)
        rates = np.empty_like(x)
        rates[0] = self._intake - ground
        rates[1] = ground - emptied
        rates[2] = emptied - absorbed
        rates[3] = produced + self._appears * gut - p["Fsnc"] - excreted - exchanged
        rates[4] = exchanged - used
        rates[5] = p["ksc"] * (plasma - skin)
        return rates


def _propagator(p: Mapping[str, Floats], minutes: float) -> list[Floats]:
    """Return what each state of insulin, an infusion of 1 pmol/kg/min and a constant add to all after some minutes.

    :return: nine of ``[7, people]``.
    """
    from scipy.linalg import expm

    rate = np.zeros((len(p["BW"]), 9, 9))
    rate[:, 0, 0], rate[:, 0, 1], rate[:, 0, 2], rate[:, 0, 3] = -(p["m2"] + p["m4"]), p["m1"], p["ka1"], p["ka2"]
    rate[:, 1, 0], rate[:, 1, 1] = p["m2"], -(p["m1"] + p["m30"])
    rate[:, 2, 2], rate[:, 2, 7] = -(p["ka1"] + p["kd"]), 1
    rate[:, 3, 2], rate[:, 3, 3] = p["kd"], -p["ka2"]
    rate[:, 4, 0], rate[:, 4, 4], rate[:, 4, 8] = p["p2u"] / p["Vi"], -p["p2u"], -p["p2u"] * p["Ib"]
    rate[:, 5, 0], rate[:, 5, 5] = p["ki"] / p["Vi"], -p["ki"]
    rate[:, 6, 5], rate[:, 6, 6] = p["ki"], -p["ki"]
    moved = expm(minutes * rate)
    return [np.ascontiguousarray(moved[:, :7, at].T) for at in range(9)]
