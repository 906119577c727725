"""What RxRx3-core calls things.

Conventions
    Control wells are those whose gene or treatment is `CONTROL`. Concentrations are in uM.
"""

from __future__ import annotations

CONTROL = "EMPTY_control"
TYPES = ("COMPOUND", "CRISPR")
NOMINAL = (0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
"""The nominal concentrations; four others occur in a few wells and are no part of the protocol."""
COLUMNS = (
    "well_id",
    "experiment_name",
    "plate",
    "address",
    "gene",
    "treatment",
    "SMILES",
    "concentration",
    "perturbation_type",
    "cell_type",
)
"""What the published metadata has, in its order."""
NEEDED = ("well_id", "experiment_name", "gene", "treatment", "concentration", "perturbation_type")
"""What well metadata has."""
