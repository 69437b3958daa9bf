"""Other engines for the same steering, as optional extras; each is proven equal to our hooks (promise P14)."""
