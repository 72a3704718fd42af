"""A data scientist's program that logs a run with a file and reads it again: `tracked.py EXPERIMENT`. It prints one JSON line."""

import json
import logging
import sys
import tempfile
from pathlib import Path

import mlflow

logging.disable(logging.WARNING)
mlflow.set_tracking_uri("databricks")
try:
    experiment = mlflow.create_experiment(sys.argv[1], artifact_location="dbfs:/Volumes/main/sales/landing/mlflow")
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_param("depth", 3)
        mlflow.log_metric("accuracy", 0.5)
        mlflow.log_text("what was learned", "notes/summary.txt")
    (found,) = mlflow.search_runs([experiment], output_format="list")
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="notes/summary.txt", dst_path=folder
        )
        notes = Path(path).read_text()
    out = {"params": found.data.params, "metrics": found.data.metrics, "status": found.info.status, "notes": notes}
    print(json.dumps({"ok": out}))
except mlflow.exceptions.MlflowException as error:
    print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
