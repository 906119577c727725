"""The paper's benchmarks beside the Polaris number (arXiv 2503.20158): what a map, or its wells, know.

drug_target asks whether a compound looks like its target's knock-out, gene_gene whether genes known to act
together look alike (or opposite), signal whether a perturbation can be told from its controls. Each has one
`evaluate_...` that takes data and gives a `polaris_rxrx.suites.result.Result`; none reads or writes a file of
results, prints, or goes online.
"""
