"""Question templates: read a template file, put a program into the question."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from steerlab.contrast import CWE_NAMES, Program
from steerlab.errors import PromptError, nearest

if TYPE_CHECKING:
    pass

Array = NDArray[Any]

FIELDS = ("code", "cwe_name", "cwe", "language")
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A prompt with the two answers whose log-likelihoods are compared.

    `text` holds {code} and may hold {cwe_name}, {cwe}, {language}. `vulnerable` and `patched` are the
    whole answer strings, with the space that stands before them.
    """

    name: str
    text: str
    vulnerable: str
    patched: str

    def __post_init__(self) -> None:
        for field in _FIELD.findall(self.text):
            if field not in FIELDS:
                raise PromptError(f"template {self.name}: unknown field {{{field}}}. {nearest(field, FIELDS)}")
        if "{code}" not in self.text:
            raise PromptError(f"template {self.name}: the text has no {{code}}, so no program would be shown.")
        if not self.vulnerable or not self.patched or self.vulnerable == self.patched:
            raise PromptError(f"template {self.name}: give two different answers, vulnerable and patched.")


@dataclass(frozen=True, kw_only=True)
class TemplateSet:
    """The templates of a file, and sentences about those in it that were left out."""

    templates: tuple[Template, ...]
    notes: tuple[str, ...] = ()


def load_templates(path: Path | None = None) -> tuple[Template, ...]:
    """The templates of a file; the packaged ones where `path` is None. See `read_templates`."""
    return read_templates(path).templates


def read_templates(path: Path | None = None) -> TemplateSet:
    """Read our template format, or the official prompts of SecLLMHolmes, with notes on what was left out.

    Ours: {"templates": [{"name", "text", "vulnerable", "patched"}]}. SecLLMHolmes': "prompts" and
    "user_message_forms"; zero-shot single-turn prompts become templates in the plain-text form that the
    benchmark uses for completion models ("palm2"), with the system text in front; few-shot, definition
    and multi-turn prompts need material that is not in the file and are named in the notes.
    Raises: PromptError when the file is missing, not JSON, or lacks something; it names file and part.
    """
    name = str(path) if path is not None else "the packaged templates"
    try:
        if path is None:
            text = (resources.files("steerlab.tasks") / "detection_templates.json").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        content = json.loads(text)
    except OSError as error:
        raise PromptError(f"{name}: cannot be read ({error.strerror}). Give a template file.") from error
    except ValueError as error:
        raise PromptError(f"{name}: is not JSON in UTF-8 ({error}).") from error
    if isinstance(content, dict) and "templates" in content:
        return TemplateSet(templates=_own_templates(content["templates"], name=name))
    if isinstance(content, dict) and "prompts" in content:
        return _official_templates(content, name=name)
    raise PromptError(f'{name}: has neither "templates" (ours) nor "prompts" (SecLLMHolmes).')


def _own_templates(entries: object, *, name: str) -> tuple[Template, ...]:
    if not isinstance(entries, list) or not entries:
        raise PromptError(f'{name}: "templates" must be a list with at least one template.')
    templates: list[Template] = []
    keys = {"name", "text", "vulnerable", "patched"}
    for number, entry in enumerate(entries, start=1):
        where = f"{name}: template {number}"
        if not isinstance(entry, dict):
            raise PromptError(f"{where} must be an object with {', '.join(sorted(keys))}.")
        if missing := sorted(keys - entry.keys()):
            raise PromptError(f"{where} lacks {', '.join(missing)}.")
        for key in sorted(entry.keys() - keys):
            raise PromptError(f"{where} has an unknown key {key}. {nearest(key, keys)}")
        for key in sorted(keys):
            if not isinstance(entry[key], str):
                raise PromptError(f"{where}: {key} must be a text.")
        try:
            template = Template(**entry)
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from error
        if any(template.name == other.name for other in templates):
            raise PromptError(f"{where} has the name {template.name}, which another one has, too.")
        templates.append(template)
    return tuple(templates)


def _official_templates(content: Mapping[str, Any], *, name: str) -> TemplateSet:
    try:
        forms = content["user_message_forms"]["palm2"]
    except (KeyError, TypeError) as error:
        raise PromptError(f'{name}: lacks "user_message_forms" with the form "palm2".') from error
    templates: list[Template] = []
    skipped: list[str] = []
    for prompt_name, prompt in content["prompts"].items():
        if reason := _why_not(prompt):
            skipped.append(f"{prompt_name} ({reason})")
            continue
        try:
            text = forms[prompt["form"]]
            for part in ("question", "answer_prefix"):
                if f"{{{part}}}" in text:
                    text = text.replace(f"{{{part}}}", prompt[part])
            system = prompt["system"]
        except KeyError as error:
            raise PromptError(f"{name}: prompt {prompt_name} lacks {error}.") from error
        yes_no = prompt["form"] == "Question"
        try:
            template = Template(
                name=prompt_name,
                text=(f"{system}\n\n{text}" if system else text).rstrip(),
                vulnerable=" yes" if yes_no else " The code is vulnerable.",
                patched=" no" if yes_no else " The code is secure.",
            )
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from error
        templates.append(template)
    if not templates:
        raise PromptError(f"{name}: holds no zero-shot prompt that can be used.")
    notes = (f"Prompts of {Path(name).name} that were left out: {', '.join(skipped)}.",) if skipped else ()
    return TemplateSet(templates=tuple(templates), notes=notes)


def _why_not(prompt: Mapping[str, Any]) -> str | None:
    """Why an official prompt cannot be used, or None."""
    if "few_shot" in prompt or prompt.get("shots") != "ZS":
        return "few-shot"
    if prompt.get("form") == "Def" or "{definition}" in prompt.get("system", ""):
        return "needs a definition"
    if "turns" in prompt:
        return "several turns"
    return None


def render(template: Template, program: Program) -> str:
    """The prompt for one program. Only the fields of the template are replaced: braces in code survive.

    Raises: PromptError when the CWE of the program has no name and the template needs one.
    """
    if "{cwe_name}" in template.text and not program.cwe:
        raise PromptError(
            f"{program.id} has no CWE, and template {template.name} asks for one: give each pair a "
            '"cwe", or questions of your own with --templates FILE.'
        )
    if "{cwe_name}" in template.text and program.cwe not in CWE_NAMES:
        raise PromptError(
            f"{program.id}: {program.cwe} has no name for template {template.name}. {nearest(program.cwe, CWE_NAMES)} "
            "For others give questions of your own with --templates FILE."
        )
    values = {
        "code": program.code.rstrip("\n"),
        "cwe_name": CWE_NAMES.get(program.cwe, ""),
        "cwe": program.cwe,
        "language": program.language,
    }
    return _FIELD.sub(lambda match: values[match.group(1)], template.text)
