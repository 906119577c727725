"""Where the wells of genes lie: which genes share an experiment.

Conventions
    Whatever is left of an experiment's batch is common to the genes in it. In RxRx3-core 5.8% of StringDB's
    and 8.3% of Reactome's related pairs share an experiment, of all pairs 2.8%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polaris_rxrx.suites.result import Digest
from polaris_rxrx.types import Bools, Ints
from polaris_rxrx.wells.metadata import Perturbations


@dataclass(frozen=True, eq=False)
class Layout:
    """Gene -> its row in `wells`, (n_genes, n_experiments): whether it has wells there."""

    row: dict[str, int]
    wells: Bools

    @classmethod
    def of(cls, perturbations: Perturbations, perturbation: Ints, experiment: Ints) -> Layout:
        """From each well's perturbation and experiment, as codes; a perturbation of -1 is none.

        Args:
            perturbations: Those that the codes stand for.
            perturbation: Shape (n_wells,).
            experiment: Shape (n_wells,).
        """
        genes = [i for i, kind in enumerate(perturbations.type) if kind == "CRISPR"]
        row = {name: k for k, name in enumerate(sorted({perturbations.name[i] for i in genes}))}
        of = np.full(len(perturbations.type) + 1, -1, dtype=np.int64)  # the last: of -1
        of[genes] = [row[perturbations.name[i]] for i in genes]
        own = of[perturbation]
        wells = np.zeros((len(row), int(experiment.max(initial=-1)) + 1), dtype=bool)
        wells[own[own >= 0], experiment[own >= 0]] = True
        return cls(row, wells)

    @property
    def sha256(self) -> str:
        return Digest().names(list(self.row)).array(self.wells).hex()

    def together(self, genes: Sequence[str]) -> Bools:
        """Which of these genes share an experiment, (n, n); one that is not in the layout shares none."""
        known = np.zeros((len(genes), self.wells.shape[1]), dtype=np.float32)
        for i, gene in enumerate(genes):
            if (k := self.row.get(gene)) is not None:
                known[i] = self.wells[k]
        shared: Bools = known @ known.T > 0
        return shared
