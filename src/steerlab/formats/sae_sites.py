"""Which layer's output a sparse autoencoder reads, from the name that its file gives the place."""

from __future__ import annotations

import re

from steerlab.errors import AutoencoderError

# A name of the place -> how many layers above the number in it lies the block whose output it is.
RESIDUAL_SITES: tuple[tuple[str, int], ...] = (
    (r"blocks\.(\d+)\.hook_resid_post", 0),
    (r"blocks\.(\d+)\.hook_resid_pre", -1),
    (r"(?:[\w.]+\.)?(?:layers|h|blocks)[._](\d+)(?:\.(?:output|hook_out))?", 0),
    (r"(?:[\w.]+\.)?(?:layers|h|blocks)[._](\d+)\.input", -1),
    (r"resid_post[\w-]*/layer_(\d+)[\w-]*", 0),
)
LONGEST = 200  # characters of a name


def layer_of_site(site: str, *, name: str) -> int:
    """The layer whose output is read at `site`; the input of a block is the output of the one below.

    Raises: AutoencoderError with the reason for the input of block 0, and for attention, MLP and embedding sites.
    """
    for pattern, above in RESIDUAL_SITES:
        found = re.fullmatch(pattern, site[:LONGEST])
        if found and len(found[1]) <= 4:
            layer = int(found[1]) + above
            if layer < 0:
                raise AutoencoderError(
                    f"{name} reads {site}, the embedding before the first block: that is no layer's output. "
                    "Choose one that reads a block."
                )
            return layer
    raise AutoencoderError(
        f"{name} reads {site[:LONGEST] or 'a site that its file does not name'}, which is not the output of a block: "
        "latents are read and steered in the residual stream. Choose a residual-stream (res, resid_post) autoencoder."
    )
