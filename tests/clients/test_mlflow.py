"""MLflow's own client, with the workspace as its tracking server."""

from __future__ import annotations

import json
from pathlib import Path

from programs import home_of, needs, person, start
from world import World

pytestmark = needs("mlflow")


def test_a_run_is_logged_with_a_file_and_read_again(world: World, tmp_path: Path):
    program = home_of("mlflow")
    who = person(world, tmp_path, "scientists")
    tracked = [program / "venv/bin/python", program / "tracked.py"]
    done = start([*tracked, f"/Users/{who.caller.sub}/churn"], tmp_path, who.env())
    assert done.out.strip(), str(done)
    said = json.loads(done.out.splitlines()[-1])
    told = {"params": {"depth": "3"}, "metrics": {"accuracy": 0.5}, "status": "FINISHED", "notes": "what was learned"}
    assert said == {"ok": told}, str(done)
    assert {one.who for one in world.api()} == {who.caller.sub}


def test_an_experiment_in_somebody_elses_folder_is_refused_by_its_reason(world: World, tmp_path: Path):
    program = home_of("mlflow")
    who = person(world, tmp_path, "scientists")
    done = start(
        [program / "venv/bin/python", program / "tracked.py", "/Users/bob@example.com/churn"], tmp_path, who.env()
    )
    said = json.loads(done.out.splitlines()[-1])
    assert "no rule of the caller's roles allows `experiments.create_experiment`" in said["error"]["message"], said
    world.no_api_reached()
