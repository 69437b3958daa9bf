"""The local page: try a vector with a slider, browse runs; loopback only (extra: studio)."""
