"""Our own training corpus: parts that people wrote, and a small composer that joins them. See README.md in this folder."""
