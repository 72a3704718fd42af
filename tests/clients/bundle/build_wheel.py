"""Makes the wheel of this bundle. No build package has to be there for it."""

import zipfile
from pathlib import Path

VERSION = "0.1.0"
INFO = f"sales-{VERSION}.dist-info"
FILES = {
    "sales/__init__.py": "def main():\n    print('totals')\n",
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: sales\nVersion: {VERSION}\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\nmain = sales:main\n",
}

folder = Path("dist")
folder.mkdir(exist_ok=True)
with zipfile.ZipFile(folder / f"sales-{VERSION}-py3-none-any.whl", "w") as wheel:
    for name, text in FILES.items():
        wheel.writestr(name, text)
    wheel.writestr(f"{INFO}/RECORD", "".join(f"{name},,\n" for name in [*FILES, f"{INFO}/RECORD"]))
