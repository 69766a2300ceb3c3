"""Where the service keeps what it knows, and which folder it watches."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

VAR = Path(os.environ.get("SERVICE_VAR", CHECKOUT / "var")).resolve()
FOLDER = Path(os.environ.get("SERVICE_FOLDER", CHECKOUT)).resolve()

VAR.mkdir(parents=True, exist_ok=True)
