"""The official clients: what each is made of, how it is fetched and built, and where it then is.

Each is set up once for each state of its version and of its sources, into .cache/clients of this checkout, from the package managers'
own registries: those that the chosen tests need, before the first of them, or as a program those that are named, all if none is. One
that a registry does not serve is left out with a word; its tests then say that they are skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
CACHE = REPO / ".cache/clients"
# only those that are set up in a minute or two (`run --quick`)
QUICK = bool(os.environ.get("CLIENTS_QUICK"))
STARTED = time.time()


def versions() -> dict[str, str]:
    """What versions.env names."""
    lines = [line.strip() for line in (HERE / "versions.env").read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


class Unavailable(Exception):
    """A client cannot be had here; the text says what failed."""


@dataclass(frozen=True)
class Client:
    """One client, in a folder of its own."""

    name: str
    needs: tuple[str, ...]  # names in versions.env
    build: Callable[[Path, dict[str, str]], None]
    sources: str = ""  # its folder beside this file
    files: tuple[str, ...] = ()  # more files that it is made of, beside this one
    slow: str = ""  # why it is none of the quick ones, if so

    @property
    def home(self) -> Path:
        digest = hashlib.sha256()
        for name in self.needs:
            digest.update(f"{name}={versions()[name]}\n".encode())
        folder = sorted((HERE / self.sources).rglob("*")) if self.sources else []
        for path in [*folder, *(HERE / file for file in self.files)]:
            if path.is_file():
                digest.update(f"{path.relative_to(HERE)}\n".encode() + path.read_bytes())
        return CACHE / f"{self.name}-{digest.hexdigest()[:16]}"

    def missing(self) -> str:
        """Why it is not there; empty if it is."""
        if QUICK and self.slow:
            return f"{self.name} is left to `make test-clients`: {self.slow}"
        if (self.home / "ready").exists():
            return ""
        why = self.home / "missing"
        return why.read_text() if why.exists() else f"{self.name} is not set up: tests/clients/clients.py does it"

    def set_up(self) -> None:
        if QUICK and self.slow:
            return
        with alone(self.home):
            why = self.home / "missing"
            tried = why.exists() and why.stat().st_mtime >= STARTED  # by a run of the same tests beside this one
            if not (self.home / "ready").exists() and not tried:
                self._build()

    def _build(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        wanted = {name: versions()[name] for name in self.needs}
        say(f"fetching and building {self.name} ({', '.join(f'{k} {v}' for k, v in wanted.items())}) ...")
        started = time.monotonic()
        try:
            if self.sources:
                shutil.copytree(HERE / self.sources, self.home, dirs_exist_ok=True)
            self.build(self.home, wanted)
        except (Unavailable, OSError) as error:
            (self.home / "missing").write_text(f"{self.name} cannot be had here: {error}")
            say(f"{self.name} is left out: {error}")
            return
        (self.home / "ready").touch()
        say(f"{self.name} is ready after {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Nobody else makes this folder meanwhile."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    # at once, for two may speak
    sys.stderr.write(f"tests/clients: {text}\n")
    sys.stderr.flush()


def run(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> None:
    """A step of a build. Its output is shown only where it fails."""
    if shutil.which(argv[0]) is None:
        raise Unavailable(f"there is no `{argv[0]}` on this machine")
    # what the tests' own modules and clients are told is nothing to package managers
    whole = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    whole |= dict(line.split("=", 1) for line in os.environ.get("CLIENTS_PROXIES", "").splitlines())
    done = subprocess.run(argv, cwd=cwd, env=whole | (env or {}), capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        (cwd / "build.log").write_text("\n".join(lines))
        raise Unavailable(f"`{' '.join(argv[:3])}` failed: {' / '.join(lines[-3:])[-400:]}")


# --- how each is built --------------------------------------------------------------------------------------------------


def cli(home: Path, wanted: dict[str, str]) -> None:
    """One that is there already, else from its Go module."""
    given = os.environ.get("CLIENTS_CLI") or shutil.which("databricks")
    if given and is_official_cli(Path(given)):
        (home / "databricks").symlink_to(Path(given).resolve())
        return
    run(["go", "install", f"github.com/databricks/cli@{wanted['CLI']}"], home, {"GOBIN": str(home)})
    (home / "cli").rename(home / "databricks")


def tofu(home: Path, wanted: dict[str, str]) -> None:
    """One that TOFU names, else from its Go module, which has to be built as the main module."""
    if given := os.environ.get("TOFU"):
        (home / "tofu").symlink_to(Path(given).resolve())
        return
    module = f"github.com/opentofu/opentofu@{wanted['TOFU']}"
    run(["go", "mod", "download", "-json", module], home)
    cache = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    copied = shutil.copytree(Path(cache) / module, home / "source", copy_function=shutil.copyfile)
    for folder in [copied, *(path for path in copied.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)  # the cache's folders are read-only
    run(["go", "build", "-trimpath", "-o", str(home / "tofu"), "./cmd/tofu"], copied)
    shutil.rmtree(copied)


def is_official_cli(path: Path) -> bool:
    """The Python program of that name, which came before it, is another."""
    done = subprocess.run([path, "version"], capture_output=True, text=True)
    return "Databricks CLI v" in done.stdout


def go_program(*modules: tuple[str, str]) -> Callable[[Path, dict[str, str]], None]:
    def build(home: Path, wanted: dict[str, str]) -> None:
        run(["go", "mod", "init", "story"], home)
        run(["go", "get", *(f"{module}@{wanted[name]}" for name, module in modules)], home)
        run(["go", "mod", "tidy"], home)
        run(["go", "build", "-o", "story", "."], home)

    return build


def java_program(home: Path, wanted: dict[str, str]) -> None:
    given = [f"-D{name.lower().replace('_', '.')}.version={version}" for name, version in wanted.items()]
    run(["mvn", "-q", "-B", *given, "package", "dependency:copy-dependencies", "-DoutputDirectory=lib"], home)
    patch = ["--patch-module", "java.desktop=desktop"]
    run(["javac", *patch, "-d", "target/desktop", "desktop/java/awt/Desktop.java"], home)


def node_program(**packages: str) -> Callable[[Path, dict[str, str]], None]:
    def build(home: Path, wanted: dict[str, str]) -> None:
        (home / "package.json").write_text('{"private": true, "type": "module"}')
        named = [f"{package}@{wanted[name]}" for name, package in packages.items()]
        quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--no-update-notifier"]
        run(["npm", "install", "--save-exact", *quiet, *named], home)

    return build


def python_packages(**packages: str) -> Callable[[Path, dict[str, str]], None]:
    def build(home: Path, wanted: dict[str, str]) -> None:
        run(["python3", "-m", "venv", "venv"], home)
        named = [f"{package}=={wanted[name]}" for name, package in packages.items()]
        pip = ["venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
        run([str(home / pip[0]), *pip[1:], *named], home)

    return build


def many_python_packages(**packages: str) -> Callable[[Path, dict[str, str]], None]:
    """Of some hundred packages pip tries for a quarter of an hour which versions go together; uv takes seconds."""

    def build(home: Path, wanted: dict[str, str]) -> None:
        python_packages(UV="uv")(home, wanted)
        named = [f"{package}=={wanted[name]}" for name, package in packages.items()]
        run([str(home / "venv/bin/uv"), "pip", "install", "--quiet", "--python", "venv/bin/python", *named], home)

    return build


def keycloak(home: Path, wanted: dict[str, str]) -> None:
    """Its distribution, with what it would build at each start built once."""
    artefact = f"org.keycloak:keycloak-quarkus-dist:{wanted['KEYCLOAK']}:tar.gz"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    run(["mvn", "-q", "-B", copy, f"-Dartifact={artefact}", "-DoutputDirectory=."], home)
    archive = home / f"keycloak-quarkus-dist-{wanted['KEYCLOAK']}.tar.gz"
    run(["tar", "-xzf", archive.name], home)
    archive.unlink()
    (home / f"keycloak-{wanted['KEYCLOAK']}").rename(home / "keycloak")
    run([str(home / "keycloak/bin/kc.sh"), "build", "--db=dev-file", "--cache=local"], home)


def browser(home: Path, wanted: dict[str, str]) -> None:
    """Debian's Chromium, and Playwright to do with it what a person does."""
    if shutil.which("chromium") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable("there is no `chromium` on this machine (Debian: apt install chromium)")
        run(["apt-get", "update", "-qq"], home)
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], home, quiet)
    (home / "chromium").write_text(shutil.which("chromium") or "")
    python_packages(PLAYWRIGHT="playwright")(home, wanted)


CLIENTS = [
    Client("cli", ("CLI",), cli, slow="it is built from its Go module"),
    Client(
        "go",
        ("SDK_GO", "SQL_GO"),
        go_program(
            ("SDK_GO", "github.com/databricks/databricks-sdk-go"),
            ("SQL_GO", "github.com/databricks/databricks-sql-go"),
        ),
        "go",
        slow="its modules compile for some minutes",
    ),
    Client("tofu", ("TOFU",), tofu, slow="it is built from its Go module"),
    Client("java", ("SDK_JAVA", "JDBC"), java_program, "java"),
    Client(
        "node",
        ("SDK_NODE", "SQL_NODE"),
        node_program(SDK_NODE="@databricks/sdk-experimental", SQL_NODE="@databricks/sql"),
        "node",
    ),
    Client("dbt", ("DBT_DATABRICKS",), python_packages(DBT_DATABRICKS="dbt-databricks")),
    Client("sqlalchemy", ("SQLALCHEMY_DATABRICKS",), python_packages(SQLALCHEMY_DATABRICKS="databricks-sqlalchemy")),
    Client(
        "ai",
        ("OPENAI", "ANTHROPIC", "MCP"),
        python_packages(OPENAI="openai", ANTHROPIC="anthropic", MCP="mcp"),
        "ai",
    ),
    Client("codex", ("CODEX",), node_program(CODEX="@openai/codex"), slow="424 MB"),
    Client("mlflow", ("MLFLOW",), python_packages(MLFLOW="mlflow-skinny"), "mlflow"),
    Client(
        "mcp",
        ("DATABRICKS_MCP",),
        python_packages(DATABRICKS_MCP="databricks-mcp"),
        "mcp",
        slow="it brings all of MLflow",
    ),
    Client(
        "assistants",
        ("UV", "DATABRICKS_OPENAI", "DATABRICKS_LANGCHAIN"),
        many_python_packages(DATABRICKS_OPENAI="databricks-openai", DATABRICKS_LANGCHAIN="databricks-langchain"),
        "assistants",
        slow="they bring all of MLflow",
    ),
    Client("keycloak", ("KEYCLOAK",), keycloak, slow="180 MB, and a minute to start"),
    Client("browser", ("PLAYWRIGHT",), browser, "browser", slow="it is a whole Chromium"),
]


def client(name: str) -> Client:
    return next(one for one in CLIENTS if one.name == name)


def set_up(names: Iterable[str]) -> None:
    """Two at once: a package manager unpacks with one core."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: client(name).set_up(), names))


def main() -> None:
    set_up(sys.argv[1:] or [one.name for one in CLIENTS])


if __name__ == "__main__":
    main()
