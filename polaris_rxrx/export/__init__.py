"""A task as a folder that frameworks for agents take: BioML-bench and MLE-bench."""
