"""Files that hold vectors: safetensors."""
