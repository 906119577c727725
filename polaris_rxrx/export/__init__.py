"""A task as a folder that benchmark frameworks take: BioML-bench and MLE-bench."""
