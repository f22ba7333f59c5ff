"""EM on rows that come in blocks: online and in random batches."""
