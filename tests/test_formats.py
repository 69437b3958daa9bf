"""Files of other tools: exact both ways, the layer where it belongs, and one line for whatever is malformed."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st

import peer_files
from conftest import random_vector, tiny_model
from steerlab.errors import OptionError, SteerlabError, VectorError
from steerlab.formats import FORMATS, export_vector, import_vector
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.interventions import Intervention
from steerlab.steering import steer
from steerlab.vectors import SteeringVector, bound_to

WRITTEN = [name for name, entry in FORMATS.items() if entry.write]


def rows(*layers: int, width: int = 8, seed: int = 0) -> dict[int, np.ndarray]:
    drawn = np.random.default_rng(seed)
    return {layer: drawn.normal(size=width).astype(np.float32) for layer in layers}


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def same(vector: SteeringVector, expected: dict[int, np.ndarray]) -> bool:
    return vector.layers == tuple(sorted(expected)) and all(
        vector.directions[layer].tobytes() == row.astype(np.float32).tobytes() for layer, row in expected.items()
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_p12_a_vector_comes_back_whole_through_every_format(name, tmp_path):
    vector = random_vector(tiny_model("llama"), 1, 2)
    path = tmp_path / f"v{FORMATS[name].suffix}"
    assert export_vector(vector, path) == name
    loaded = import_vector(path)
    assert loaded.describe() == vector.describe()
    assert same(loaded, dict(vector.directions))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=32, max_size=32))
@settings(max_examples=30)
def test_p12_every_float32_survives_every_format(tmp_path_factory, values):
    vector = random_vector(tiny_model("llama"), 2)
    row = np.array(values, dtype=np.float32)
    vector = SteeringVector(directions={2: row}, model=vector.model, recipe=vector.recipe)
    folder = tmp_path_factory.mktemp("v")
    for name in WRITTEN:
        path = folder / f"v{FORMATS[name].suffix}"
        export_vector(vector, path)
        assert same(import_vector(path), {2: row})


def test_a_file_of_ours_says_who_where_for_which_model_and_in_which_units(tmp_path):
    vector = random_vector(tiny_model("llama"), 1)
    export_vector(vector, tmp_path / "v.gguf")
    fields = GGUFReader(tmp_path / "v.gguf").fields
    said = {name: field.contents() for name, field in fields.items()}
    assert said["controlvector.model_sha"] == vector.model.sha256
    assert said["controlvector.model_hint"] == "llama" and said["controlvector.layer_count"] == 1
    assert said["controlvector.producer"].startswith("steerlab ")
    assert "output of the decoder layer" in said["controlvector.site"]
    assert "residual_norms: L2" in said["controlvector.units"]


def test_our_gguf_is_what_the_reader_of_the_gguf_package_reads(tmp_path):
    vector = random_vector(tiny_model("llama"), 1, 3)
    export_vector(vector, tmp_path / "v.gguf")
    tensors = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(tmp_path / "v.gguf").tensors}
    assert {name: row.tobytes() for name, row in tensors.items()} == {
        f"direction.{layer}": vector.directions[layer].tobytes() for layer in (1, 3)
    }


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_ours_is_not_taken_for_another_tools(name, tmp_path):
    path = tmp_path / f"v{FORMATS[name].suffix}"
    export_vector(random_vector(tiny_model("llama"), 1), path)
    with pytest.raises(OptionError, match="says that steerlab wrote it"):
        import_vector(path, producer="llama.cpp")


def test_layer_0_has_no_place_in_gguf(tmp_path):
    with pytest.raises(VectorError, match=r"layer 0.*--layers 2"):
        export_vector(random_vector(tiny_model("llama"), 0, 2), tmp_path / "v.gguf")
    assert not list(tmp_path.iterdir())


def test_the_last_layer_has_no_place_in_svec(tmp_path):
    with pytest.raises(VectorError, match="last layer, 3"):
        export_vector(random_vector(tiny_model("llama"), 3), tmp_path / "v.svec")


def test_svec_is_written_where_activation_steering_adds_it(tmp_path):
    vector = random_vector(tiny_model("llama"), 1)
    export_vector(vector, tmp_path / "v.svec")
    found = json.loads((tmp_path / "v.svec").read_text())
    assert list(found["directions"]) == ["2"]  # added to the input of layer 2, the output of layer 1


@pytest.mark.parametrize(
    ("producer", "write"),
    [
        ("repeng", peer_files.repeng_gguf),
        ("dialz", peer_files.dialz_gguf),
        ("easysteer", peer_files.easysteer_gguf),
        ("llama.cpp", peer_files.llama_cpp_gguf),
    ],
)
def test_a_gguf_of_another_tool_is_read_at_the_layers_where_it_was_found(producer, write, tmp_path):
    expected = rows(1, 4)
    path = put(tmp_path, "v.gguf", write(expected))
    vector = import_vector(path, producer=producer)
    assert same(vector, expected)
    assert vector.model.sha256 == "" and vector.recipe.source.startswith(producer)
    theirs = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}
    assert sorted(row.tobytes() for row in theirs.values()) == sorted(row.tobytes() for row in expected.values())


def test_a_gguf_of_another_tool_needs_its_producer(tmp_path):
    path = put(tmp_path, "v.gguf", peer_files.repeng_gguf(rows(1)))
    with pytest.raises(OptionError, match=r"--producer \(llama.cpp"):
        import_vector(path)
    with pytest.raises(OptionError, match="Did you mean repeng"):
        import_vector(path, producer="repong")
    with pytest.raises(VectorError, match="not written by steerlab"):
        import_vector(path, producer="steerlab")


def test_easysteer_may_have_layer_0_and_llama_cpp_may_not(tmp_path):
    path = put(tmp_path, "v.gguf", peer_files.easysteer_gguf(rows(0, 1)))
    assert import_vector(path, producer="easysteer").layers == (0, 1)
    with pytest.raises(VectorError, match="never writes"):
        import_vector(path, producer="llama.cpp")


def test_an_svec_of_activation_steering_is_read(tmp_path):
    expected = rows(2, 5)
    path = put(tmp_path, "v.svec", peer_files.svec_bytes(expected))
    assert same(import_vector(path, producer="activation-steering"), expected)
    nested = put(tmp_path, "w.svec", peer_files.svec_bytes({at: row[None] for at, row in expected.items()}))
    assert same(import_vector(nested, producer="activation-steering"), expected)


def test_persona_vectors_are_read_one_row_later(tmp_path):
    hidden_states = torch.randn(6, 8)  # 5 layers: the embedding, four outputs, and the last after the final norm
    path = put(tmp_path, "v.pt", peer_files.pt_bytes(hidden_states))
    vector = import_vector(path, producer="persona_vectors")
    assert same(vector, {layer: hidden_states[layer + 1].numpy() for layer in range(4)})
    assert vector.model.n_layers == 5


def test_rows_of_chosen_layers_need_their_layers(tmp_path):
    chosen = rows(10, 12)
    path = put(tmp_path, "v.pt", peer_files.pt_bytes(torch.from_numpy(np.stack(list(chosen.values())))))
    assert same(import_vector(path, layers=(10, 12)), chosen)
    with pytest.raises(OptionError, match="does not say their layers: give --layers"):
        import_vector(path)
    with pytest.raises(OptionError, match="give as many different --layers"):
        import_vector(path, layers=(10,))


@pytest.mark.parametrize("key", [lambda at: at, str, lambda at: f"layer_{at}"])
def test_a_dict_from_layer_to_tensor_is_read(key, tmp_path):
    chosen = rows(3, 7)
    content = {key(at): torch.from_numpy(row) for at, row in chosen.items()}
    assert same(import_vector(put(tmp_path, "v.pt", peer_files.pt_bytes(content))), chosen)


def test_layers_may_stand_beside_the_tensor(tmp_path):
    chosen = rows(3, 7)
    content = {"layers": [3, 7], "vectors": torch.from_numpy(np.stack(list(chosen.values())))}
    assert same(import_vector(put(tmp_path, "v.pt", peer_files.pt_bytes(content))), chosen)


def test_lm_eval_entries_are_read_with_their_coefficient(tmp_path):
    chosen = rows(3, 7)
    path = put(tmp_path, "v.pt", peer_files.lm_eval_bytes(chosen, coefficient=2.0))
    assert same(import_vector(path, name="lm-eval"), {at: row * 2 for at, row in chosen.items()})
    clamp = put(tmp_path, "w.pt", peer_files.lm_eval_bytes(chosen, coefficient=2.0, action="clamp"))
    with pytest.raises(VectorError, match="only add is a vector"):
        import_vector(clamp, name="lm-eval")


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    "content", [Evil(), {"3": Evil()}, [1, 2], "text", {"a": torch.ones(3)}, {3: torch.ones(2, 2)}]
)
def test_a_pt_file_of_anything_else_is_refused_and_nothing_of_it_runs(content, tmp_path, capsys):
    with pytest.raises(VectorError) as error:
        import_vector(put(tmp_path, "v.pt", peer_files.pt_bytes(content)))
    assert "\n" not in str(error.value) and capsys.readouterr().out == ""


def test_old_and_bare_pickles_are_refused(tmp_path):
    bare = put(tmp_path, "v.pt", pickle.dumps({"3": [1.0]}))
    old = io.BytesIO()
    torch.save({3: torch.ones(4)}, old, _use_new_zipfile_serialization=False)
    for path in (bare, put(tmp_path, "w.pt", old.getvalue())):
        with pytest.raises(VectorError, match="not a .pt file of torch 1.6"):
            import_vector(path)


def test_a_tensor_that_only_pretends_to_be_large_is_refused(tmp_path):
    view = torch.ones(1).expand(2**40)
    with pytest.raises(VectorError, match="not all in the file"):
        import_vector(put(tmp_path, "v.pt", peer_files.pt_bytes(view)), layers=(3,))


def test_a_compressed_archive_is_refused(tmp_path):
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**7))
    with pytest.raises(VectorError, match="compressed"):
        import_vector(put(tmp_path, "v.pt", small.getvalue()))


def test_declared_sizes_beyond_the_file_are_refused_at_once(tmp_path):
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a"
    for tail in (
        struct.pack("<IIQ", 9, 0, 2**40),  # the gguf package's reader does not come back from this one
        struct.pack("<IIQ", 9, 8, 2**40),
        struct.pack("<IQ", 8, 2**63),
    ):
        with pytest.raises(VectorError, match="ends after"):
            import_vector(put(tmp_path, "v.gguf", head + tail), producer="repeng")


def test_many_tensors_over_the_same_bytes_are_refused(tmp_path):
    good = peer_files.gguf_bytes(rows(*range(1, 40), width=64))
    for layer in range(39):
        good = good.replace(struct.pack("<IQIQ", 1, 64, 0, 256 * layer), struct.pack("<IQIQ", 1, 2000, 0, 0))
    with pytest.raises(VectorError, match="larger than the file"):
        import_vector(put(tmp_path, "v.gguf", good), producer="repeng")


def test_an_imported_vector_is_used_on_no_model_until_it_is_bound(tmp_path):
    model = tiny_model("llama")
    path = put(tmp_path, "v.gguf", peer_files.gguf_bytes(rows(1, width=32), hint="llama"))
    vector = import_vector(path, producer="repeng")
    with (
        pytest.raises(VectorError, match="vector import FILE --model tiny-llama"),
        steer(model, Intervention(vector=vector, coefficient=1.0)),
    ):
        pass
    bound = bound_to(vector, model.fingerprint)
    with steer(model, Intervention(vector=bound, coefficient=1.0)):
        pass
    save_vector(bound, tmp_path / "v.safetensors")
    assert load_vector(tmp_path / "v.safetensors").describe() == bound.describe()
    save_vector(vector, tmp_path / "unbound.safetensors")
    assert load_vector(tmp_path / "unbound.safetensors").model.sha256 == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"hint": "qwen2"}, "type qwen2"), ({"width": 16}, "d_model 16"), ({"layers": (1, 9)}, "needs 10 layers")],
)
def test_a_vector_that_can_not_be_for_the_model_is_not_bound(changes, expected, tmp_path):
    given = {"hint": "llama", "width": 32, "layers": (1,), **changes}
    content = peer_files.gguf_bytes(rows(*given["layers"], width=given["width"]), hint=given["hint"])
    vector = import_vector(put(tmp_path, "v.gguf", content), producer="repeng")
    with pytest.raises(VectorError, match=expected):
        bound_to(vector, tiny_model("llama").fingerprint)


def test_unknown_formats_and_read_only_ones_say_what_is_possible(tmp_path):
    vector = random_vector(tiny_model("llama"), 1)
    with pytest.raises(OptionError, match="does not say its format"):
        export_vector(vector, tmp_path / "v.bin")
    with pytest.raises(OptionError, match="Did you mean gguf"):
        export_vector(vector, tmp_path / "v.bin", name="ggfu")
    with pytest.raises(OptionError, match="read only"):
        export_vector(vector, tmp_path / "v.pt")


def valid_files() -> dict[str, bytes]:
    """One good file per reader, to be mutated."""
    found = dict.fromkeys(FORMATS, b"")
    vector = random_vector(tiny_model("llama"), 1, 2)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in WRITTEN:
            path = Path(folder) / f"v{FORMATS[name].suffix}"
            export_vector(vector, path)
            found[name] = path.read_bytes()
    tensors = {at: torch.from_numpy(np.array(row)) for at, row in vector.directions.items()}
    found["pt"] = peer_files.pt_bytes(tensors)
    found["lm-eval"] = peer_files.lm_eval_bytes(rows(1, 2), coefficient=2.0)
    return found


VALID = valid_files()


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """The file with bytes changed, cut, doubled, or an 8-byte length blown up; or nothing but noise."""
    kind = draw(st.sampled_from(["bytes", "cut", "double", "length", "noise"]))
    if kind == "noise":
        return draw(st.binary(max_size=200))
    at = draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:at]
    if kind == "double":
        return content[:at] + content[max(0, at - 40) :]
    if kind == "length":
        huge = draw(st.sampled_from([2**63, 2**40, 2**32 - 1, 0, 10**6]))
        return content[:at] + struct.pack("<Q", huge) + content[at + 8 :]
    changed = bytearray(content)
    for place, value in draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        changed[place] = value
    return bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
@given(choice=st.data())
@settings(max_examples=150)
def test_a_damaged_file_is_a_vector_or_one_line(name, tmp_path_factory, choice):
    path = put(tmp_path_factory.getbasetemp(), f"damaged-{name}", choice.draw(damaged(VALID[name])))
    try:
        vector = import_vector(path, name=name)
    except SteerlabError as error:
        assert "\n" not in str(error) and str(error)
    else:
        assert all(np.isfinite(row).all() for row in vector.directions.values())


def test_repeng_writes_what_the_fixture_says_and_reads_ours_bit_for_bit(tmp_path):
    repeng = pytest.importorskip(
        "repeng", reason="repeng needs numpy<2: it has an environment of its own", exc_type=ImportError
    )
    expected = rows(1, 4)
    repeng.ControlVector(model_type="qwen2", directions=expected).export_gguf(tmp_path / "theirs.gguf")
    assert (tmp_path / "theirs.gguf").read_bytes() == peer_files.repeng_gguf(expected)
    vector = random_vector(tiny_model("llama"), 1, 3)
    export_vector(vector, tmp_path / "ours.gguf")
    loaded = repeng.ControlVector.import_gguf(tmp_path / "ours.gguf")
    assert loaded.model_type == "llama"
    assert {at: row.tobytes() for at, row in loaded.directions.items()} == {
        at: row.tobytes() for at, row in vector.directions.items()
    }


def test_dialz_writes_what_the_fixture_says(tmp_path):
    dialz = pytest.importorskip("dialz", reason="dialz needs repeng's environment", exc_type=ImportError)
    expected = rows(1, 4)
    dialz.SteeringVector(model_type="qwen2", directions=expected).export_gguf(tmp_path / "theirs.gguf")
    assert (tmp_path / "theirs.gguf").read_bytes() == peer_files.dialz_gguf(expected)
