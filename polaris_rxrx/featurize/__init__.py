"""Images to features: one row a well, as `--embeddings` takes it."""
