"""Tasks: what an answer or a completion is worth."""
