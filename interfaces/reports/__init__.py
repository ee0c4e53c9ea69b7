"""Impact reports as files: canonical JSON, tidy CSV, and one self-contained HTML page for people."""
