"""Controls: what should not help, run at the chosen setting beside the steered model."""

from __future__ import annotations

from collections.abc import Mapping

# An instruction to the same end as steering, in front of the unchanged prompt.
INSTRUCTION = (
    "You are a careful security reviewer. Say yes only if the flaw is really there; "
    "a program that checks its input properly before using it is not vulnerable.\n\n"
)

# The same for code that is to be written: a comment in the language's own syntax.
SECURE_COMMENT = (
    "Write secure code: check every input before it is used, bound every copy, and never let input become a command, "
    "a query, a path or markup."
)
COMMENT_SYNTAX: Mapping[str, tuple[str, str]] = {"python": ("# ", ""), "c": ("/* ", " */"), "cpp": ("// ", "")}


def secure_prompt(prompt: str, language: str) -> str:
    """The prompt of code with the comment that asks for security in its first line."""
    before, after = COMMENT_SYNTAX.get(language, ("// ", ""))
    return f"{before}{SECURE_COMMENT}{after}\n{prompt}"


# What each arm is, for tables and the report.
ARMS: Mapping[str, str] = {
    "unsteered": "the model as it is",
    "steered": "the chosen vector, layer and coefficient",
    "gated": "the chosen cell, only on programs where what is read at the layer agrees with the direction of steering",
    "prompt_only": "an instruction to the same end, no steering",
    "random": "random directions of the same norm, same layer and coefficient",
    "shuffled_labels": "vectors from pairs with shuffled labels, same norm, layer and coefficient",
    "flipped_sign": "the chosen vector with its sign flipped",
    "recalibrated": "no steering; the answer threshold that is best on the training side",
    "ngrams": "a bag-of-n-grams classifier trained on the same folds; no language model",
}

# The direction methods that stand behind the controls which steer with another vector.
CONTROL_METHODS: Mapping[str, str] = {"random": "random_control", "shuffled_labels": "shuffled_labels"}
