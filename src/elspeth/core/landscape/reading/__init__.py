"""From traces and paths back to the story of a row."""
