"""The studio's server: who may ask, what is answered, one line per mistake, one job at a time, nothing left behind."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from conftest import random_vector, tiny_model
from steerlab.errors import BusyError, DataError, OptionError, RunError, VectorError
from steerlab.formats.safetensors_file import load_vector, save_vector
from steerlab.generation import Decoding, generate
from steerlab.hooks import hook_count
from steerlab.interventions import Intervention
from steerlab.models import Model
from steerlab.readout import answer_log_likelihoods
from steerlab.results import open_run
from steerlab.steering import steer
from steerlab.studio import steering_jobs
from steerlab.studio.browsing import cell_page, run_page
from steerlab.studio.desk import Desk, Job, StoppedError
from steerlab.studio.guard import LONGEST_BODY
from steerlab.studio.server import listen, make_app
from steerlab.studio.shelf import Shelf, fill_shelf

PROMPT = "def f(x):\n    return"
PAIRS = '{"vulnerable": "eval(x)", "patched": "int(x)"}\n{"vulnerable": "system(y)", "patched": "run([y])"}\n'


def endless(name: str) -> Model:
    """A tiny model that never ends by itself."""
    return replace(tiny_model(name), eos_token_ids=())


def detection_rows() -> list[dict[str, Any]]:
    rows = []
    for arm, layers, coefficient in (
        ("unsteered", "", 0.0),
        ("grid", "1", 2.0),
        ("grid", "1", 4.0),
        ("grid", "1+3", 2.0),
    ):
        for number, answer in enumerate(("patched", "vulnerable", "patched" if coefficient == 4 else None)):
            rows.append(
                {
                    "trial": f"{arm}-{layers}-{coefficient}",
                    "arm": arm,
                    "readout": "generated",
                    "method": "mean_difference",
                    "operation": "add",
                    "positions": "all",
                    "template": "t",
                    "layers": layers,
                    "coefficient": coefficient,
                    "program": f"p{number}",
                    "cwe": "CWE-22",
                    "label": "patched",
                    "test": "fold 0",
                    "answer": answer,
                    "margin": 0.5,
                    "completion": f"{arm} {layers} <b>no</b>",
                }
            )
    return rows


def write_run(path: Path) -> Path:
    """A finished run of three programs and three cells."""
    with open_run(path, settings={"a": 1}, facts={}, resume=False) as run:
        run.append(detection_rows())
        run.finish({"study": "vulnerability-detection", "model": "tiny", "verdict": "no gain."})
    return path


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A studio that runs in this process, and a client that speaks as its own page."""

    client: httpx2.Client
    shelf: Shelf
    port: int

    def steering(self, **changes: object) -> dict[str, object]:
        how = {"vector": "vector-0", "layers": [1], "coefficient": 2.0, "operation": "add", "positions": "all"}
        return {**how, "dose": "absolute", **changes}

    def body(self, *, steering: dict[str, object] | None = None, **more: object) -> dict[str, object]:
        return {"model": "model-0", "steering": steering or self.steering(), "prompt": PROMPT, **more}

    def ask(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """The last event of a job."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text.splitlines()[-1])

    def refused(self, path: str, body: dict[str, object], *, status: int = 400) -> str:
        """The one line of a refusal."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        line = answer.json()["error"]
        assert "\n" not in line
        return str(line)


@contextmanager
def running(shelf: Shelf) -> Iterator[Studio]:
    on = listen(0)
    port = on.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(shelf, port=port), log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [on]})
    thread.start()
    headers = {"origin": f"http://127.0.0.1:{port}"}
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield Studio(client=client, shelf=shelf, port=port)
    finally:
        server.should_exit = True
        thread.join()
        on.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    save_vector(random_vector(tiny_model("llama"), 1, 2, 3), folder / "own.safetensors")
    save_vector(random_vector(tiny_model("gpt2"), 1), folder / "other.safetensors")
    (folder / "pairs.jsonl").write_text(PAIRS, "utf-8")
    write_run(folder / "runs" / "first")
    shelf = fill_shelf(
        models=["llama", "gpt2"],
        vectors=[folder / "own.safetensors", folder / "other.safetensors"],
        pairs=["starter", f"jsonl:{folder / 'pairs.jsonl'}"],
        runs=[folder / "runs"],
        load=endless,
    )
    with running(shelf) as found:
        yield found


# Who may ask


def test_it_listens_on_loopback_only() -> None:
    with listen(0) as on:
        assert on.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    with listen(0) as on, pytest.raises(OptionError, match="choose another --port"):
        listen(on.getsockname()[1])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}", ""]
)
def test_a_name_that_was_bound_to_loopback_is_refused(studio: Studio, host: str) -> None:
    answer = studio.client.get("/api/shelf", headers={"host": host.format(port=studio.port)})
    assert answer.status_code == 403
    assert "address" in answer.json()["error"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_a_page_of_another_origin_is_refused(studio: Studio, origin: str) -> None:
    for path in ("/api/shelf", "/"):
        answer = studio.client.get(path, headers={"origin": origin.format(port=studio.port)})
        assert answer.status_code == 403
    answer = studio.client.post("/api/write", json=studio.body(), headers={"origin": origin.format(port=studio.port)})
    assert answer.status_code == 403


def test_localhost_is_its_own_page_too(studio: Studio) -> None:
    at = f"localhost:{studio.port}"
    assert studio.client.get("/api/shelf", headers={"host": at, "origin": f"http://{at}"}).status_code == 200


def raw(studio: Studio, head: str) -> str:
    """The first line of the answer to a request as it is typed."""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
        line.sendall(head.format(port=studio.port).replace("\n", "\r\n").encode())
        return line.recv(4096).decode().splitlines()[0]


def test_a_post_without_an_origin_a_form_and_a_body_too_long_are_refused(studio: Studio) -> None:
    host = "POST /api/write HTTP/1.1\nHost: 127.0.0.1:{port}\n"
    own = "Origin: http://127.0.0.1:{port}\n"
    assert "403" in raw(studio, f"{host}Content-Type: application/json\nContent-Length: 0\n\n")
    assert "415" in raw(studio, f"{host}{own}Content-Type: text/plain\nContent-Length: 0\n\n")
    assert "411" in raw(studio, f"{host}{own}Content-Type: application/json\nTransfer-Encoding: chunked\n\n")
    assert "413" in raw(studio, f"{host}{own}Content-Type: application/json\nContent-Length: {LONGEST_BODY + 1}\n\n")


def test_the_page_may_load_its_own_files_only(studio: Studio) -> None:
    for path in ("/", "/studio.css", "/studio.js", "/favicon.svg", "/api/shelf", "/nothing"):
        answer = studio.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
    page = studio.client.get("/").text + studio.client.get("/studio.css").text
    assert "http" not in page
    assert " style=" not in page


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/../pyproject.toml", "/api/runs/..%2f..%2fetc", "/etc/passwd"]
)
def test_nothing_else_is_served(studio: Studio, path: str) -> None:
    assert studio.client.get(path).status_code in (400, 404)


# What is answered


def test_the_shelf_names_what_was_given_and_no_path(studio: Studio) -> None:
    shelf = studio.client.get("/api/shelf").json()
    assert [model["name"] for model in shelf["models"]] == ["llama", "gpt2"]
    assert [vector["name"] for vector in shelf["vectors"]][:2] == ["own", "other"]
    assert shelf["pairs"][0] == {"id": "pairs-0", "name": "starter", "n_pairs": 48}
    assert shelf["runs"] == [{"id": "run-0", "name": "first"}]
    assert "/" not in json.dumps([shelf["runs"], shelf["pairs"]])


def test_both_completions_stream_and_equal_those_of_the_library(studio: Studio) -> None:
    with studio.client.stream("POST", "/api/write", json=studio.body(max_new_tokens=12)) as answer:
        events = [json.loads(line) for line in answer.iter_lines()]
    model = endless("llama")
    how = Decoding(max_new_tokens=12)
    (plain,) = generate(model, [PROMPT], decoding=how)
    with steer(model, Intervention(vector=random_vector(model, 1, 2, 3).at([1]), coefficient=2.0)):
        (steered,) = generate(model, [PROMPT], decoding=how)
    assert [event["kind"] for event in events] == ["tokens"] * 12 + ["done"]
    for side, completion in (("unsteered", plain), ("steered", steered)):
        assert tuple(event[side]["token"] for event in events[:-1]) == completion.tokens
        assert events[-1][side]["text"] == completion.text
    assert plain.tokens != steered.tokens


def test_both_sides_draw_alike_when_they_are_sampled(studio: Studio) -> None:
    body = studio.body(steering=studio.steering(coefficient=0.0), max_new_tokens=12, temperature=1.0, seed=5)
    last = studio.ask("/api/write", body)
    assert last["unsteered"] == last["steered"]


def test_a_character_of_several_tokens_is_told_when_it_is_whole(studio: Studio) -> None:
    with studio.client.stream("POST", "/api/write", json=studio.body(max_new_tokens=60)) as answer:
        events = [json.loads(line) for line in answer.iter_lines()]
    for side in ("unsteered", "steered"):
        told = "".join(event[side]["text"] for event in events[:-1])
        assert events[-1][side]["text"].startswith(told)


def test_next_tokens_at_a_place_in_a_completion_are_those_that_were_written_there(studio: Studio) -> None:
    with studio.client.stream("POST", "/api/write", json=studio.body(max_new_tokens=8)) as answer:
        events = [json.loads(line) for line in answer.iter_lines()][:-1]
    for side in ("unsteered", "steered"):
        written = [event[side]["token"] for event in events]
        read = studio.ask("/api/next", studio.body(written=written[:5]))
        best = max(read["tokens"], key=lambda token: token[side])
        assert best["token"] == written[5]
        assert read["kl"] > 0


def test_the_dose_strip_holds_the_margins_of_the_library(studio: Studio) -> None:
    coefficients = [-2.0, 0.0, 2.0]
    strip = studio.ask("/api/dose", studio.body(answers=[" no", " yes"], coefficients=coefficients))
    model = endless("llama")
    expected = []
    for coefficient in coefficients:
        with steer(model, Intervention(vector=random_vector(model, 1, 2, 3).at([1]), coefficient=coefficient)):
            read = answer_log_likelihoods(model, [PROMPT], [[" no", " yes"]])[0]
        expected.append(float(read[0] - read[1]))
    assert strip["margins"] == pytest.approx(expected, abs=1e-4)
    assert strip["unsteered"] == pytest.approx(expected[1], abs=1e-4)
    assert strip["margins"][0] != pytest.approx(strip["margins"][2], abs=1e-3)


@pytest.mark.parametrize("source", [{"text": PAIRS}, {"pairs": "pairs-1"}])
def test_a_vector_is_built_used_and_saved(studio: Studio, source: dict[str, str], tmp_path: Path) -> None:
    body = {"model": "model-0", "name": "mine", "layers": "1,2", "template": "none", **source}
    built = studio.ask("/api/build", body)["vector"]
    assert built["layers"] == [1, 2]
    assert studio.client.get("/api/shelf").json()["vectors"][-1]["id"] == built["id"]
    body = studio.body(steering=studio.steering(vector=built["id"]), max_new_tokens=4)
    assert studio.ask("/api/write", body)["kind"] == "done"
    (tmp_path / "v.safetensors").write_bytes(studio.client.get(f"/api/vectors/{built['id']}").content)
    assert load_vector(tmp_path / "v.safetensors").layers == (1, 2)


def test_a_program_of_the_pairs_becomes_a_prompt_with_its_answers(studio: Studio) -> None:
    programs = studio.client.get("/api/pairs/pairs-0").json()["programs"]
    template = studio.client.get("/api/shelf").json()["templates"][0]
    body = {"pairs": "pairs-0", "program": programs[0], "template": template["name"]}
    found = studio.client.post("/api/prompt", json=body).json()
    assert found["answers"] == template["answers"]
    assert len(found["prompt"]) > 100


def test_a_run_shows_its_cells_and_a_cell_its_completions(studio: Studio) -> None:
    page = studio.client.get("/api/runs/run-0").json()
    (heat,) = page["maps"]
    assert page["verdict"] == "no gain."
    assert (heat["layers"], heat["coefficients"]) == (["1", "1+3"], [2.0, 4.0])
    cell = next(cell for cell in heat["cells"] if cell["layers"] == "1+3")
    assert (cell["value"], cell["n"], cell["n_unscored"]) == (0.5, 2, 1)
    found = studio.client.get("/api/runs/run-0/cell", params={"cell": cell["id"]}).json()
    assert found["n"] == 3
    assert [row["outcome"] for row in found["rows"]] == ["right", "wrong", "unscored"]
    assert found["rows"][0]["steered"] == "grid 1+3 <b>no</b>"
    assert found["rows"][0]["unsteered"] == "unsteered  <b>no</b>"
    assert studio.client.get("/api/runs/run-0/cell", params={"cell": "x"}).status_code == 400


def finished_run(path: Path, rows: list[dict[str, Any]], **summary: str) -> Path:
    with open_run(path, settings={}, facts={}, resume=False) as run:
        run.append([{"trial": str(number), "program": "p", **row} for number, row in enumerate(rows)])
        run.finish({"verdict": "", **summary})
    return path


def test_secure_code_has_maps_of_completions_and_of_margins(tmp_path: Path) -> None:
    cell = {"layers": "2", "coefficient": 0.5, "method": "pca", "contrast": "differing", "sample": 0}
    rows = [
        {"arm": "grid", "readout": "margin", "joint": None, "margin": -1.5, "completion": None, **cell},
        {"arm": "written", "readout": "completion", "joint": 1.0, "margin": None, "completion": "new", **cell},
        {"arm": "unsteered", "readout": "completion", "joint": 0.0, "margin": None, "completion": "old", **cell},
    ]
    rows[2]["layers"], rows[2]["coefficient"] = "", 0.0
    run = finished_run(tmp_path / "run", rows, study="secure-code", joint="parsed without a finding")
    written, grid = run_page(run)["maps"]
    assert (written["measure"], written["cells"][0]["value"]) == ("share parsed without a finding", 1.0)
    assert (grid["measure"], grid["cells"][0]["value"]) == ("mean margin, nats", -1.5)
    (row,) = cell_page(run, written["cells"][0]["id"])["rows"]
    assert (row["unsteered"], row["steered"], row["outcome"]) == ("old", "new", "parsed without a finding")
    assert cell_page(run, grid["cells"][0]["id"])["rows"][0]["outcome"] == "-1.50 nats"


def test_code_correctness_has_a_map_per_latent(tmp_path: Path) -> None:
    rows = [
        {"arm": arm, "stage": "coefficients", "layer": layer, "latent": latent, "target": target, "coefficient": dose}
        | {"passed": passed, "completion": f"{arm}{dose}"}
        for arm, layer, latent, target, dose, passed in (
            ("unsteered", -1, -1, None, 0.0, True),
            ("grid", 2, 7, "correct", 10.0, None),
            ("grid", 2, 7, "correct", 30.0, False),
            ("grid", 4, 9, "incorrect", 10.0, True),
        )
    ]
    run = finished_run(tmp_path / "run", rows, study="code-correctness")
    first, second = run_page(run)["maps"]
    assert (first["title"], second["title"]) == ("grid, target correct, latent 7", "grid, target incorrect, latent 9")
    assert [(cell["value"], cell["n"], cell["n_unscored"]) for cell in first["cells"]] == [(None, 0, 1), (0.0, 1, 0)]
    (row,) = cell_page(run, first["cells"][1]["id"])["rows"]
    assert (row["unsteered"], row["steered"], row["outcome"]) == ("unsteered0.0", "grid30.0", "fails its tests")


def test_an_unfinished_run_is_one_line(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", settings={}, facts={}, resume=False):
        pass
    with pytest.raises(RunError, match="is not finished"):
        run_page(tmp_path / "run")


# One line for every mistake


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"vector": "vector-1"}, "d_model|was built for"),
        ({"vector": "../../etc/passwd"}, "does not exist"),
        ({"layers": [0]}, "no direction at layer 0"),
        ({"operation": "subtract"}, "operation 'subtract' does not exist"),
        ({"positions": "some"}, "positions 'some' do not exist"),
        ({"operation": "ablate", "dose": "unit_norm"}, "go with add"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_no_hook(studio: Studio, changes: dict[str, object], line: str) -> None:
    network = endless("llama").network
    before = hook_count(network)
    for path, more in (("write", {}), ("next", {}), ("dose", {"answers": ["a", "b"], "coefficients": [1.0]})):
        body = studio.body(steering=studio.steering(**changes), **more)
        said = studio.refused(f"/api/{path}", body)
        assert re.search(line, said), said
    assert hook_count(network) == before


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("write", {"prompt": ""}, "no token"),
        ("write", {"prompt": "x" * 600}, "exceed the context"),
        ("write", {"model": "model-9"}, "model 'model-9' does not exist"),
        ("next", {"written": [10**6]}, "does not have"),
        ("dose", {"answers": ["", "b"], "coefficients": [1.0]}, "no token of its own"),
    ],
)
def test_a_wrong_request_is_one_line(studio: Studio, path: str, body: dict[str, object], line: str) -> None:
    assert line in studio.refused(f"/api/{path}", studio.body(**body))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"path": "/etc/passwd"}, "path: extra inputs are not permitted."),
        ({"max_new_tokens": 0}, "max_new_tokens: input should be greater than or equal to 1."),
        ({"prompt": 3}, "prompt: input should be a valid string."),
    ],
)
def test_what_no_request_holds_is_one_line(studio: Studio, more: dict[str, object], line: str) -> None:
    assert studio.refused("/api/write", studio.body(**more), status=422) == line


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"text": "{"}, "the pairs on the page line 1: not JSON"),
        ({"text": '{"patched": "x"}'}, "one class only"),
        ({}, "give either pairs"),
        ({"text": PAIRS, "pairs": "pairs-0"}, "give either pairs"),
        ({"text": PAIRS, "layers": "9"}, "layer 9 does not exist"),
        ({"text": PAIRS, "method": "mean"}, "'mean' does not exist"),
        ({"pairs": "pairs-0"}, "48 of 48 pairs exceed the 512 tokens"),
        ({"pairs": "jsonl:/etc/passwd"}, "does not exist"),
    ],
)
def test_pairs_that_make_no_vector_are_one_line(studio: Studio, more: dict[str, str], line: str) -> None:
    assert line in studio.refused("/api/build", {"model": "model-0", "name": "", **more})


def test_what_was_named_wrongly_at_the_start_is_an_error_before_the_page_opens(tmp_path: Path) -> None:
    given: dict[str, Any] = {"models": ["llama"], "vectors": [], "pairs": [], "runs": [], "load": endless}
    for part, error in (
        ({"vectors": [tmp_path / "no.safetensors"]}, VectorError),
        ({"pairs": ["stater"]}, DataError),
        ({"runs": [tmp_path]}, RunError),
    ):
        with pytest.raises(error):
            fill_shelf(**{**given, **part})


# One job at a time


def test_a_busy_model_says_what_it_does_and_the_page_is_still_served(studio: Studio) -> None:
    with studio.client.stream("POST", "/api/write", json=studio.body(max_new_tokens=400)) as answer:
        next(answer.iter_lines())
        line = studio.refused("/api/next", studio.body(), status=409)
        assert "busy: it is writing a completion" in line
        assert studio.client.get("/api/shelf").status_code == 200
    assert free_again(studio)


def free_again(studio: Studio) -> bool:
    """Whether the model takes a job within ten seconds."""
    for _ in range(100):
        if studio.client.post("/api/next", json=studio.body()).status_code == 200:
            return True
        time.sleep(0.1)
    return False


def test_who_goes_away_stops_the_writing_and_leaves_no_hook(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    network = endless("llama").network
    before = hook_count(network)
    ended: list[str] = []
    original = steering_jobs.complete_rows

    def watched(*args: Any, **options: Any) -> Any:
        try:
            done = original(*args, **options)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        ended.append("whole")
        return done

    monkeypatch.setattr(steering_jobs, "complete_rows", watched)
    with studio.client.stream("POST", "/api/write", json=studio.body(max_new_tokens=480)) as answer:
        next(answer.iter_lines())
    assert free_again(studio)
    assert ended == ["StoppedError"]
    assert hook_count(network) == before


def test_the_model_that_was_picked_before_leaves_memory_and_comes_back(studio: Studio) -> None:
    body = studio.body(steering=studio.steering(vector="vector-1"), model="model-1", max_new_tokens=4)
    assert studio.ask("/api/model", {"model": "model-1"})["facts"]["n_layers"] == 4
    assert studio.ask("/api/write", body)["kind"] == "done"
    assert list(studio.shelf.current) == ["model-1"]
    assert studio.ask("/api/write", studio.body(max_new_tokens=4))["kind"] == "done"
    assert list(studio.shelf.current) == ["model-0"]


def test_a_bug_is_one_line_on_the_page_and_the_desk_goes_on(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(steering_jobs, "complete_rows", broken)
    assert studio.refused("/api/write", studio.body()) == "an internal error: KeyError: 'lost'"
    assert "Traceback" in caplog.text
    assert free_again(studio)


def test_the_desk_refuses_a_second_job_and_stops_the_first_when_it_closes() -> None:
    told: list[Any] = []
    begun = threading.Event()

    def endless_job(job: Job) -> dict[str, Any]:
        begun.set()
        while True:
            job.tell({"kind": "progress"})
            time.sleep(0.01)

    with Desk() as desk:
        desk.start("counting", endless_job, tell=told.append)
        begun.wait(5)
        with pytest.raises(BusyError, match="it is counting"):
            desk.start("more", endless_job, tell=told.append)
    assert told[-1] == {"kind": "stopped"}


def test_a_job_that_was_stopped_tells_nothing_more() -> None:
    told: list[Any] = []
    job = Job("x", told.append)
    job.stop()
    with pytest.raises(StoppedError):
        job.tell({"kind": "progress"})
    assert told == []


# The command


def test_without_the_extra_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from steerlab.cli import main

    monkeypatch.delitem(sys.modules, "steerlab.studio.server")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setattr(sys, "argv", ["steerlab", "studio", "--no-browser"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: the studio needs FastAPI and uvicorn: pip install 'steerlab[studio]'.\n"


def test_help_is_quick_without_the_web_framework() -> None:
    code = "import sys; import steerlab.cli; print('fastapi' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]
